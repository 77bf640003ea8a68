# The programs of this package as an image: `docker run IMAGE gateway ...`, `docker run IMAGE entra ...`.
FROM node:22-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
RUN npm run build && npm prune --omit=dev

FROM node:22-slim
WORKDIR /app
ENV NODE_ENV=production
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
USER node
ENTRYPOINT ["node", "dist/cli/main.js"]
# Each program listens on the port of its --listen; compose files that choose another port replace this check.
HEALTHCHECK --interval=5s --timeout=2s --retries=15 CMD ["node", "-e", "const ports = [1433, 8080]; let left = ports.length; for (const port of ports) require('node:net').connect(port).once('connect', () => process.exit(0)).once('error', () => --left || process.exit(1))"]
CMD ["gateway", "--help"]

// Readiness probes on pool.health(): Express, Fastify, and an indicator for Nest Terminus. No probe runs a query.
import express from 'express';
import Fastify from 'fastify';
import { createTokenPool } from 'mssql-token-pool';
import { withEmulators } from './with-emulators.mjs';

const emulators = await withEmulators();
const pool = createTokenPool({ ...emulators.config, pool: { max: 2, acquireTimeoutMillis: 2_000 } });

// ---- Express ----
const app = express();
app.get('/ready', (_request, response) => {
  const health = pool.health();
  response.status(health.status === 'down' ? 503 : 200).json(health);
});

// ---- Fastify ----
const fastify = Fastify();
fastify.get('/ready', (_request, reply) => {
  const health = pool.health();
  return reply.code(health.status === 'down' ? 503 : 200).send(health);
});

// ---- Nest Terminus 11: @Injectable(), with HealthIndicatorService injected ----
class TokenPoolIndicator {
  constructor(healthIndicatorService) {
    this.healthIndicatorService = healthIndicatorService;
  }

  // In a controller: health.check([() => indicator.isHealthy('database')])
  isHealthy(key) {
    const indicator = this.healthIndicatorService.check(key);
    const health = pool.health();
    return health.status === 'down' ? indicator.down(health) : indicator.up(health);
  }
}

// ---- its probes ----
const server = await new Promise((resolve) => {
  const listening = app.listen(0, '127.0.0.1', () => resolve(listening));
});
const address = await fastify.listen({ port: 0, host: '127.0.0.1' });
const urls = [`http://127.0.0.1:${server.address().port}/ready`, `${address}/ready`];
// Stands in for what Nest injects.
const service = {
  check: (key) => ({
    up: (data) => ({ [key]: { ...data, status: 'up' } }),
    down: (data) => ({ [key]: { ...data, status: 'down' } }),
  }),
};
const indicator = new TokenPoolIndicator(service);
const probe = async () => {
  const codes = await Promise.all(urls.map(async (url) => (await fetch(url)).status));
  return `${codes.join(' ')} ${indicator.isHealthy('database').database.status}`;
};

await pool.ready();
console.log('healthy:', await probe());
pool.evictAll({ reason: 'to see it without connections' });
emulators.failLogin();
await pool.acquire().catch(() => {});
console.log('without a login:', await probe());
await pool.ready();
console.log('recovered:', await probe());

await new Promise((resolve) => server.close(resolve));
await fastify.close();
await pool.close();
emulators.report();
await emulators.stop();

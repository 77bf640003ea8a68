// An MCP server whose `query` tool reads SQL Server as the user who is signed in to the AI client: the database's own
// permissions decide what each user may see, and no user ever gets a connection of another.

import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { createTokenPools } from 'mssql-token-pool';
import { z } from 'zod';
import { readRows } from './read-rows.mjs';

/**
 * @param options `sql`: config of the pools, whose `authentication` is the application that acts on behalf of its users;
 *   `issuer`, `jwksUri`, `audience`: whose tokens are accepted, and for what; `maxRows` and `timeoutMs` of one query
 */
export async function startMcpServer({ sql, issuer, jwksUri, audience, maxRows = 100, timeoutMs = 5_000, port = 0 }) {
  const pools = createTokenPools({
    ...sql,
    // A readable secondary where there is one. What a user may do is decided by the database: grant SELECT and nothing else.
    options: { ...sql.options, readOnlyIntent: true },
    requestTimeout: timeoutMs,
    // No user can take more than two connections, nor wait for one for long.
    pool: { max: 2, acquireTimeoutMillis: 5_000 },
    maxConnections: 50,
  });

  function serverFor(userAssertion) {
    const server = new McpServer({ name: 'sql-reader', version: '1.0.0' });
    server.registerTool(
      'query',
      {
        description: `Runs one T-SQL batch as the signed-in user and returns at most ${maxRows} rows. For reading only.`,
        inputSchema: { sql: z.string().min(1).max(10_000) },
        annotations: { readOnlyHint: true },
      },
      async ({ sql: text }) => {
        try {
          const result = await pools
            .for({ userAssertion })
            .use((connection) => readRows(connection, text, { maxRows, timeoutMs }));
          return { content: [{ type: 'text', text: JSON.stringify(result) }] };
        } catch (error) {
          // The errors of this package hold no secret; SQL Server's own text is for the user who ran the query.
          const { message, number, hint } = error;
          return { isError: true, content: [{ type: 'text', text: JSON.stringify({ message, number, hint }) }] };
        }
      },
    );
    return server;
  }

  const keys = createRemoteJWKSet(new URL(jwksUri));
  const verifier = {
    async verifyAccessToken(token) {
      const { payload } = await jwtVerify(token, keys, { issuer, audience }).catch(() => {
        throw new InvalidTokenError('The access token is not valid for this server.');
      });
      return { token, clientId: String(payload.appid ?? payload.azp ?? ''), scopes: [], expiresAt: payload.exp };
    },
  };

  const app = createMcpExpressApp();
  // Stateless: every request brings its token, so nothing of one user is kept for the next request.
  app.post('/mcp', requireBearerAuth({ verifier }), async (request, response) => {
    const server = serverFor(request.auth.token);
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    response.on('close', () => void server.close());
    await server.connect(transport);
    await transport.handleRequest(request, response, request.body);
  });

  const listener = app.listen(port, '127.0.0.1');
  await new Promise((resolve, reject) => listener.once('listening', resolve).once('error', reject));
  return {
    url: new URL(`http://127.0.0.1:${listener.address().port}/mcp`),
    get stats() {
      return pools.stats;
    },
    async close() {
      listener.close();
      listener.closeAllConnections();
      await pools.close();
    },
  };
}

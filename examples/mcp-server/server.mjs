// An MCP server whose `query` tool reads SQL Server as the user signed in to the AI client. Database permissions decide what
// each user can see, and no user ever gets another user's connection.

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
 * @param options `sql`: pool config, whose `authentication` is the application that acts on behalf of its users; `issuer`,
 *   `jwksUri`, `audience`: the accepted tokens; `maxRows` and `timeoutMs`: limits of one query
 */
export async function startMcpServer({ sql, issuer, jwksUri, audience, maxRows = 100, timeoutMs = 5_000, port = 0 }) {
  const pools = createTokenPools({
    ...sql,
    // Uses a readable secondary if there is one. The database decides what a user may do: grant only SELECT.
    options: { ...sql.options, readOnlyIntent: true },
    requestTimeout: timeoutMs,
    // No user can hold more than two connections or wait long for one.
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
          // This package's errors contain no secrets; SQL Server's own text is meant for the user who ran the query.
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
  // Stateless: every request carries its token, so no user data is kept between requests.
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

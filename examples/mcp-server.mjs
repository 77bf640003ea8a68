// Three users of an AI client, each with their own token, on one MCP server.
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { startMcpServer } from './mcp-server/server.mjs';
import { withEmulators } from './with-emulators.mjs';

const emulators = await withEmulators({
  onQuery: (sql) => (sql.includes('FROM orders') ? Array.from({ length: 1_000 }, (_, id) => ({ id })) : undefined),
});
const { entra, config } = emulators;
const audience = `api://${entra.clientId}`;
const discovery = await fetch(`${entra.url}/${entra.tenantId}/v2.0/.well-known/openid-configuration`);
const { issuer, jwks_uri: jwksUri } = await discovery.json();
// Entra signs version 1 and 2 tokens with the same keys; each version has its own issuer.
const issuers = [issuer, issuer.replace(/v2\.0$/, '')];
const mcp = await startMcpServer({ sql: config, issuer: issuers, jwksUri, audience, timeoutMs: 500 });

/** Calls the tool once, as an AI client does. */
async function query(token, sql) {
  const client = new Client({ name: 'example', version: '1.0.0' });
  await client.connect(
    new StreamableHTTPClientTransport(mcp.url, { requestInit: { headers: { authorization: `Bearer ${token}` } } }),
  );
  try {
    const { content, isError = false } = await client.callTool({ name: 'query', arguments: { sql } });
    return { isError, ...JSON.parse(content[0].text) };
  } finally {
    await client.close();
  }
}

const users = ['ada', 'bob', 'cleo'].map((name) => entra.addUser({ userName: `${name}@contoso.example` }));
const tokenOf = (principal) => entra.issueToken({ principal, audience, expiresInSeconds: 60 });

let [right, wrong] = [0, 0];
for (const until = Date.now() + Number(process.env.EXAMPLE_MS ?? 15_000); Date.now() < until; await sleep(200)) {
  const answers = await Promise.all(
    users.map(
      async (user) => (await query(tokenOf(user), 'SELECT SUSER_SNAME() AS name')).rows?.[0].name === user.userName,
    ),
  );
  right += answers.filter(Boolean).length;
  wrong += answers.filter((isRight) => !isRight).length;
}
console.log(`${right} answers to the right user, ${wrong} wrong or failed`);

const many = await query(tokenOf(users[0]), 'SELECT * FROM orders');
console.log(`1000 rows: ${many.rows.length} returned, truncated: ${many.truncated}`);
const slow = await query(tokenOf(users[0]), "WAITFOR DELAY '00:00:30'");
console.log(`a query of 30 s: ${slow.message}`);
const forged = await query('e30.e30.e30', 'SELECT 1').catch((error) => error);
console.log(`a forged token: ${forged.code ?? forged.message}`);
process.exitCode = wrong + emulators.report() === 0 ? 0 : 1;

await mcp.close();
await emulators.stop();

// What a runtime needs besides sockets: AsyncLocalStorage, AbortSignal, diagnostics_channel, and server-side TLS.
import assert from 'node:assert/strict';
import { subscribe } from 'node:diagnostics_channel';
import { AbortedError, createTokenPool, createTokenPools, ServerUnavailableError } from 'mssql-token-pool';
import { startEntraEmulator, startSqlEmulator } from 'mssql-token-pool/testing';
import tedious from 'tedious';

const events = [];
subscribe('mssql-token-pool:token:refreshed', (event) => events.push(event));
const entra = await startEntraEmulator({ tokenLifetimeSeconds: 5 });
const server = await startSqlEmulator({ entra, enforceExpiry: 'login' });
const { tenantId, clientId, clientSecret, url } = entra;
const config = server.config({ authentication: { tenantId, clientId, clientSecret, authority: url } });

function who(connection) {
  return new Promise((resolve, reject) => {
    let name;
    const request = new tedious.Request('SELECT SUSER_SNAME()', (error) => (error ? reject(error) : resolve(name)));
    request.on('row', ([{ value }]) => {
      name = value;
    });
    connection.execSql(request);
  });
}

const pools = createTokenPools(config);
const users = ['ada', 'bob'].map((name) => entra.addUser({ userName: `${name}@contoso.example` }));
const names = await Promise.all(
  users.map((principal) => {
    const userAssertion = entra.issueToken({ principal, audience: `api://${clientId}` });
    return pools.run({ userAssertion }, () => pools.current.use(who));
  }),
);
assert.deepEqual(names, ['ada@contoso.example', 'bob@contoso.example']);
await pools.close();

const pool = createTokenPool({ ...config, pool: { max: 1 } });
const borrowed = await pool.acquire();
await assert.rejects(pool.acquire({ signal: AbortSignal.timeout(100) }), AbortedError);
pool.release(borrowed);
await pool.close();
assert.ok(events.length > 0);

await server.close();
const unreachable = createTokenPool({ ...config, pool: { acquireTimeoutMillis: 1_500 } });
await assert.rejects(unreachable.acquire(), ServerUnavailableError);
await unreachable.close();
await entra.close();
console.log('passed');

// One process of a fleet: a pool of one connection, a query now and then. Its parent starts and stops it.
import { subscribe } from 'node:diagnostics_channel';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { createCredential, createTokenPool } from 'mssql-token-pool';
import { redisTokenStore } from 'mssql-token-pool/redis';
import { Request } from 'tedious';

const { redisPort, key, store, server, application } = JSON.parse(process.env.FLEET);

const client = new Redis({ port: redisPort });
client.on('error', () => {});

const report = (message) => process.connected && process.send(message);
subscribe('mssql-token-pool:token:requested', () => report({ requests: true }));
subscribe('mssql-token-pool:token:store-failed', ({ reason }) => report({ storeFailed: reason }));
process.removeAllListeners('warning');

const pool = createTokenPool({
  ...server,
  authentication: createCredential(application),
  tokenStore: redisTokenStore(client, { keys: key, ...store }),
  pool: { max: 1 },
});

function whoAmI(connection) {
  return new Promise((resolve, reject) => {
    let name;
    const request = new Request('SELECT SUSER_SNAME()', (error) => (error ? reject(error) : resolve(name)));
    request.on('row', ([column]) => {
      name = column.value;
    });
    connection.execSql(request);
  });
}

let stopped = false;
process.on('message', async (message) => {
  if (message === 'stop') stopped = true;
  if (message !== 'go') return;
  let queries = 0;
  const failures = [];
  while (!stopped) {
    try {
      const name = await pool.use(whoAmI);
      if (name !== application.clientId) failures.push(`wrong identity: ${name}`);
      queries += 1;
    } catch (error) {
      failures.push(`${error.code} ${error.message} ${error.cause?.message}`);
    }
    await sleep(300 + Math.random() * 200);
  }
  await pool.close();
  process.send({ queries, failures });
  process.disconnect();
  client.disconnect();
});
process.send({ ready: true });

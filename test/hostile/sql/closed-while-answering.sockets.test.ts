import stock from 'mssql';
import { type Connection, Request } from 'tedious';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createTokenPool, withTokenRefresh } from '../../../src/index.js';
import sql from '../../../src/mssql/index.js';
import { ProcessWatch } from '../process-watch.js';
import { HostileServer, type Visit } from './server.js';
import * as tds from './tokens.js';

let watch: ProcessWatch;
let server: HostileServer;
beforeAll(() => {
  watch = new ProcessWatch();
});
beforeEach(async () => {
  server = await HostileServer.start();
  return () => server[Symbol.asyncDispose]();
});
afterAll(() => watch[Symbol.dispose]());

const configFor = (login: object): object => ({
  server: 'localhost',
  port: server.port,
  ...login,
  options: { encrypt: true, trustServerCertificate: true },
});
const LOGINS: [string, object][] = [
  [
    'a token',
    { authentication: { getToken: async () => ({ token: 'a.b.c', expiresOnTimestamp: Date.now() + 3_600_000 }) } },
  ],
  ['a SQL login', { user: 'app', password: 'not a secret' }],
];

/** Runs a query and closes its connection at its first row: the rest of the answer is still being read then. */
function closeAtFirstRow(connection: Connection, close: () => void): Promise<unknown> {
  return new Promise((resolve) => {
    const request = new Request('SELECT 1', (error) => resolve(error));
    request.on('row', close);
    connection.execSql(request);
  });
}

test.each(LOGINS)(
  'createTokenPool with %s: a connection that is closed while its answer arrives fails the request, not the process',
  async (_, login) => {
    await using pool = createTokenPool(configFor(login) as never);
    const connection = await pool.acquire();
    const error = await closeAtFirstRow(connection, () => pool.destroy(connection));
    expect(error).toMatchObject({ code: 'ECLOSE' });
    await expect.poll(() => server.open).toBe(0);
    expect(watch.strays).toEqual([]);
  },
);

test('a cancelled request fails only once if its connection is closed while the server confirms the cancellation', async () => {
  await using pool = createTokenPool(configFor(LOGINS[0]?.[1] as object) as never);
  const connection = await pool.acquire();
  let visit: Visit | undefined;
  server.misbehaveAt('request', (at) => {
    visit = at;
  });
  const errors: unknown[] = [];
  const request = new Request('SELECT 1', (error) => errors.push(error));
  connection.execSql(request);
  await expect.poll(() => visit).toBeDefined();
  // The server answers the attention; for the driver that is the answer to the request, and another one has to follow.
  request.cancel();
  const driver = connection as unknown as { state: { name: string }; debug: { token(token: unknown): void } };
  await expect.poll(() => driver.state.name).toBe('SentAttention');
  driver.debug.token = () => pool.destroy(connection);
  visit?.send(tds.done(0xfd, 0x20));
  await expect.poll(() => errors).toEqual([expect.objectContaining({ code: 'ECLOSE' })]);
  await expect.poll(() => server.open).toBe(0);
  expect(watch.strays).toEqual([]);
});

test.each([
  ['the drop-in', (config: object) => new sql.ConnectionPool(config as never) as unknown as stock.ConnectionPool],
  [
    'withTokenRefresh on stock mssql',
    (config: object) => new stock.ConnectionPool(withTokenRefresh(config as never) as never),
  ],
])('%s: a connection that is closed while its answer arrives fails the request, not the process', async (_, create) => {
  for (const [, login] of LOGINS) {
    const pool = create(configFor(login));
    pool.on('error', () => {});
    await pool.connect();
    const connection = (await (pool as unknown as { acquire(owner: object): Promise<Connection> }).acquire(
      {},
    )) as Connection;
    expect(await closeAtFirstRow(connection, () => connection.close())).toMatchObject({ code: 'ECLOSE' });
    (pool as unknown as { release(connection: Connection): void }).release(connection);
    await pool.close();
    await expect.poll(() => server.open).toBe(0);
  }
  expect(watch.strays).toEqual([]);
});

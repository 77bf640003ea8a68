import mssql from 'mssql';
import { expect, test } from 'vitest';
import { withTokenRefresh } from '../../src/index.js';
import { HostileServer } from '../hostile/sql/server.js';

const getToken = async () => ({ token: 'a'.repeat(100), expiresOnTimestamp: Date.now() + 3_600_000 });

function open(port: number, credential: { getToken: typeof getToken }, connectionTimeout: number) {
  const options = { encrypt: true, trustServerCertificate: true };
  const config = { server: 'localhost', port, connectionTimeout, authentication: credential, options };
  return new mssql.ConnectionPool(withTokenRefresh(config) as never);
}

test.each(['prelogin', 'login7', 'token'] as const)(
  'a server that is silent at %s fails the first login after connectionTimeout, although no token is cached yet',
  async (phase) => {
    await using server = await HostileServer.start();
    server.misbehaveAt(phase, () => {});
    const pool = open(server.port, { getToken }, 200);
    const failed = pool.connect().then(
      () => 'connected',
      (error: Error & { code?: string }) => error.message,
    );
    // The time for a token would add 10 s.
    const late = new Promise((resolve) => setTimeout(resolve, 9_000, 'too late').unref());
    expect(await Promise.race([failed, late])).toMatch(/200 ?ms/);
  },
);

test('an incomplete PRELOGIN answer fails the first login too, although tedious waits for the rest forever', async () => {
  await using server = await HostileServer.start();
  server.misbehaveAt('prelogin', (visit) => visit.send(Buffer.alloc(64), { end: false }));
  const pool = open(server.port, { getToken }, 200);
  const failed = pool.connect().then(
    () => 'connected',
    (error: Error & { code?: string }) => error.message,
  );
  const late = new Promise((resolve) => setTimeout(resolve, 9_000, 'too late').unref());
  expect(await Promise.race([failed, late])).toMatch(/200 ms/);
  await expect.poll(() => server.open, { timeout: 10_000 }).toBe(0);
});

test('a token that takes longer than connectionTimeout does not fail the login', async () => {
  await using server = await HostileServer.start();
  const slow = { getToken: () => new Promise<void>((resolve) => setTimeout(resolve, 3_000)).then(getToken) };
  const pool = open(server.port, slow, 2_000);
  await pool.connect();
  expect((await pool.request().query('SELECT 1 AS value')).recordset).toEqual([{ value: 1 }]);
  await pool.close();
});

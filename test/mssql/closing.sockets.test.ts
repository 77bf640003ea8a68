import { expect, test } from 'vitest';
import sql from '../../src/mssql/index.js';
import { site } from '../support/pool.js';

test('close() waits for an unreturned prepared statement no longer than timeoutMs', async () => {
  await using s = await site();
  const pool = await new sql.ConnectionPool({
    ...s.server.config(),
    authentication: s.entra.credential(),
  } as never).connect();
  const statement = new sql.PreparedStatement(pool as never);
  statement.input('value', sql.Int);
  await statement.prepare('SELECT @value AS value');
  const startedAt = performance.now();
  await pool.close({ timeoutMs: 200 });
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  expect(pool.connected).toBe(false);
});

test('sql.close() while sql.connect() is connecting closes what that opens', async () => {
  await using s = await site();
  const connecting = sql.connect({ ...s.server.config(), authentication: s.entra.credential() } as never);
  const closing = sql.close();
  const pool = await connecting;
  await closing;
  expect(pool.connected).toBe(false);
  await expect.poll(() => s.server.connections.open).toBe(0);
  // The module has a new global pool from here on.
  const next = await sql.connect({ ...s.server.config(), authentication: s.entra.credential() } as never);
  expect(next).not.toBe(pool);
  await sql.close();
});

test('a global pool that refuses to close because it is connecting is not forgotten', async () => {
  await using s = await site();
  const connecting = sql.connect({ ...s.server.config(), authentication: s.entra.credential() } as never);
  const again = sql.connect({ server: 'ignored' } as never);
  const pool = await connecting;
  expect(await again).toBe(pool);
  await sql.close();
});

test('sql.close() without a global pool resolves with a promise of sql.Promise', async () => {
  const { Promise: before } = sql;
  class MyPromise<T> extends Promise<T> {}
  sql.Promise = MyPromise as never;
  try {
    const closing = sql.close();
    expect(closing).toBeInstanceOf(MyPromise);
    await closing;
  } finally {
    sql.Promise = before;
  }
});

import { describe, expect, test } from 'vitest';
import { startEntraEmulator, startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, rejection, reset, tediousConnect } from '../sql-clients.js';

/** A server whose clock the test can move past a token's expiry. */
async function serverWithClock(enforceExpiry: 'login' | 'reset' | 'query') {
  const entra = closing(await startEntraEmulator());
  let ahead = 0;
  const server = closing(await startSqlEmulator({ entra, enforceExpiry, now: () => Date.now() + ahead }));
  const { connection, errors } = await tediousConnect(server.config());
  expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
  return {
    server,
    connection,
    errors,
    expireTokens: () => {
      ahead = 3_601_000;
    },
  };
}

describe('a session whose token expires', () => {
  test('continues if expiry is enforced only at login', async () => {
    const { connection, expireTokens } = await serverWithClock('login');
    expireTokens();
    expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
    await reset(connection);
    expect(await execute(connection, 'SELECT 2')).toEqual([[2]]);
  });

  test('ends at a reset if expiry is enforced there', async () => {
    const { connection, errors, expireTokens } = await serverWithClock('reset');
    await reset(connection);
    expireTokens();
    expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
    const error = await rejection(reset(connection));
    expect(error.message).toContain('Token is expired.');
    expect(errors.at(-1)).toMatchObject({ number: 18456, state: 233 });
    await expect.poll(() => connection.closed).toBe(true);
  });

  test('cannot run queries if expiry is enforced at the next query: 37396', async () => {
    const { connection, expireTokens } = await serverWithClock('query');
    expireTokens();
    for (const statement of ['SELECT 1', 'SELECT 2']) {
      expect(await rejection(execute(connection, statement))).toMatchObject({
        number: 37396,
        message:
          'Query cannot be executed, access token is expired. Please login with a new access token and execute query again.',
      });
    }
    expect(connection.closed).toBe(false);
  });

  test('never expires with a SQL login', async () => {
    let ahead = 0;
    const server = closing(await startSqlEmulator({ enforceExpiry: 'query', now: () => Date.now() + ahead }));
    const { connection } = await tediousConnect(server.config());
    ahead = 1e9;
    expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
  });
});

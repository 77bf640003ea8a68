import { inspect } from 'node:util';
import stock from 'mssql';
import { expect, test } from 'vitest';
import { ConnectionPool } from '../../src/mssql/index.js';
import { withoutTokenRefresh, withTokenRefresh } from '../../src/mssql/with-token-refresh.js';

test('P10: a pool that is printed does not show the secret in its config', () => {
  const clientSecret = 'never-to-be-printed';
  const authentication = { type: 'azure-active-directory-service-principal-secret', options: { clientSecret } };
  const pool = new ConnectionPool({ server: 'db.example', password: clientSecret, authentication });
  const everything = inspect(pool, { depth: 10, showHidden: true });
  for (const shown of [inspect(pool, { depth: 10 }), everything, JSON.stringify(pool)])
    expect(shown).not.toContain(clientSecret);
  // mssql, and code written for it, reads it.
  expect(pool.config).toMatchObject({ server: 'db.example', password: clientSecret });
});

test.each([
  ['next to the server', { user: 'app', password: 'never-to-be-printed' }],
  [
    'in authentication',
    { authentication: { type: 'default', options: { userName: 'app', password: 'never-to-be-printed' } } },
  ],
  [
    'of NTLM',
    { authentication: { type: 'ntlm', options: { domain: 'CORP', userName: 'me', password: 'never-to-be-printed' } } },
  ],
])('P10: a stock pool of withTokenRefresh that is printed does not show the password %s', (_, login) => {
  const config = withTokenRefresh({ server: 'db.example', ...login } as never);
  const pool = new stock.ConnectionPool(config as never);
  for (const printed of [config, pool]) {
    expect(inspect(printed, { depth: 10, showHidden: true })).not.toContain('never-to-be-printed');
    expect(JSON.stringify(printed)).not.toContain('never-to-be-printed');
  }
  // mssql, and code written for it, reads it.
  const { authentication } = config as { authentication?: { options?: { password?: string } } };
  const { password } = config as { password?: string };
  expect(authentication?.options?.password ?? password).toBe('never-to-be-printed');
});

test('a copy of the result of withTokenRefresh contains no password, but the drop-in still finds it', () => {
  const config = withTokenRefresh({ server: 'db.example', user: 'app', password: 'never-to-be-printed' } as never);
  const copy = { ...(config as object), server: 'other.example' };
  expect(copy).not.toHaveProperty('password');
  expect(withoutTokenRefresh(copy as never)).toMatchObject({
    server: 'other.example',
    password: 'never-to-be-printed',
  });
});

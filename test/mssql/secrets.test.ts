import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { ConnectionPool } from '../../src/mssql/index.js';

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

import { createCredential, createTokenPool, TokenPoolError } from 'mssql-token-pool';
import sql, { type config as Config } from 'mssql-token-pool/mssql';
import { startEntraEmulator } from 'mssql-token-pool/testing';
import { config, cross } from './cross.cjs';

test('crosses two expiries', async () => {
  const pool = await sql.connect(config as Config);
  await cross({ query: () => pool.query`SELECT 1 AS one`, close: () => pool.close() });
}, 30_000);

test('types and values are of one package', async () => {
  expect(() => createCredential({ tenantId: 't' } as never)).toThrow(TokenPoolError);
  expect(createTokenPool).toBeInstanceOf(Function);
  const entra = await startEntraEmulator();
  await entra.close();
});

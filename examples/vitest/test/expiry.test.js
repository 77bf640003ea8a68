import { startEntraEmulator, startSqlEmulator } from 'mssql-token-pool/testing';
import { expect, test } from 'vitest';
import { openOrders } from '../src/orders.js';

test('reads orders while a token expires and the identity provider throttles', async () => {
  const entra = await startEntraEmulator({ tokenLifetimeSeconds: 6 });
  const server = await startSqlEmulator({ entra, enforceExpiry: 'login', onQuery: () => [{ id: 7, item: 'coffee' }] });
  const orders = await openOrders(server.config({ authentication: entra.credential() }));

  entra.fail({ status: 429, retryAfter: 1, count: 1 });
  const tokens = () => new Set(server.logins.map(({ tokenExpiry }) => tokenExpiry)).size;
  while (tokens() < 2) expect(await orders.of(7)).toHaveLength(1);

  await orders.close();
  await server.close();
  await entra.close();
});

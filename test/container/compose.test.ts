import { expect, test } from 'vitest';
import { execute, tediousConnect } from '../testing/sql-clients.js';
import { serverUnderTest, skip } from './server-under-test.js';

const TENANT = '4f6d3c1e-0000-4000-8000-0000000000a1';
const CLIENT = '4f6d3c1e-0000-4000-8000-0000000000b2';

test('the gateway of docker-compose.yml accepts a token of its Entra emulator', async (context) => {
  const { compose } = serverUnderTest();
  if (compose === undefined) skip(context, 'not started by docker compose');
  const response = await fetch(`${compose.entra}/${TENANT}/oauth2/v2.0/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: CLIENT,
      client_secret: process.env.ENTRA_CLIENT_SECRET ?? 'local-testing-only',
      scope: 'https://database.windows.net/.default',
    }),
  });
  const { access_token: token } = (await response.json()) as { access_token: string };
  const { connection } = await tediousConnect({
    server: 'localhost',
    port: compose.gatewayPort,
    authentication: { type: 'azure-active-directory-access-token', options: { token } },
    options: { encrypt: true, trustServerCertificate: true },
  });
  const [[who, version] = []] = await execute(connection, 'SELECT SUSER_SNAME(), @@VERSION');
  expect(who).toBe('sa');
  expect(version).toContain('Microsoft SQL Server 2025');
});

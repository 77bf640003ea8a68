import { afterEach, describe, expect, test, vi } from 'vitest';
import { type EntraEmulator, startEntraEmulator, startSqlEmulator, trustIssuer } from '../../../src/testing/index.js';
import { closing, execute, refusedLogin, tediousConnect } from '../sql-clients.js';
import { postToken } from './clients/msal.js';

/** Azure CLI's own application. */
const AZURE_CLI = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';

afterEach(() => vi.restoreAllMocks());

const withToken = (token: string) => ({ type: 'azure-active-directory-access-token', options: { token } });

describe('while the signing key rotates', () => {
  test('clients of both emulators go on, and earlier tokens stay valid', async () => {
    const entra = closing(await startEntraEmulator());
    const server = closing(await startSqlEmulator({ entra }));
    const earlier = entra.issueToken();
    const { connection } = await tediousConnect(server.config() as never);
    await entra.rotateSigningKey();
    expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
    await tediousConnect(server.config() as never);
    await tediousConnect(server.config({ authentication: withToken(earlier) }) as never);
    expect(server.logins.map(({ accepted }) => accepted)).toEqual([true, true, true]);
  });

  test('a server that trusts an issuer in another process fetches the new key once a token has it', async () => {
    const entra = closing(await startEntraEmulator());
    const server = closing(await startSqlEmulator({ entra: await trustIssuer(`${entra.url}/${entra.tenantId}`) }));
    const earlier = withToken(entra.issueToken());
    await entra.rotateSigningKey();
    const later = withToken(entra.issueToken());
    // Keys are requested at most every ten seconds, so that forged tokens cannot cause a flood of requests.
    const elapsed = Date.now() + 11_000;
    vi.spyOn(Date, 'now').mockImplementation(() => elapsed);
    expect((await refusedLogin(server.config({ authentication: later }) as never)).errors).toMatchObject([
      { number: 18_456, state: 235 },
    ]);
    await expect
      .poll(
        () =>
          tediousConnect(server.config({ authentication: later }) as never).then(
            () => true,
            () => false,
          ),
        { timeout: 10_000 },
      )
      .toBe(true);
    await tediousConnect(server.config({ authentication: earlier }) as never);
  });
});

async function post(entra: EntraEmulator, path: string, form: Record<string, string>) {
  const response = await fetch(`${entra.url}/${path}`, { method: 'POST', body: new URLSearchParams(form) });
  return (await response.json()) as Record<string, string>;
}

test('Azure CLI signs in without a tenant, and gets a token for SQL with its refresh token', async () => {
  const entra = closing(await startEntraEmulator({ deviceCode: { intervalSeconds: 0.02 } }));
  const server = closing(await startSqlEmulator({ entra }));
  const client = { client_id: AZURE_CLI };
  // As `az login --use-device-code` and `az account get-access-token --resource https://database.windows.net/` do.
  const scope = 'https://management.core.windows.net//.default offline_access openid profile';
  const { device_code = '' } = await post(entra, 'organizations/oauth2/v2.0/devicecode', { ...client, scope });
  entra.deviceSignIns[0]?.approve();
  const grant_type = 'urn:ietf:params:oauth:grant-type:device_code';
  const signedIn = await post(entra, 'organizations/oauth2/v2.0/token', { ...client, grant_type, device_code });
  const { body } = await postToken(entra, {
    ...client,
    grant_type: 'refresh_token',
    refresh_token: signedIn.refresh_token ?? '',
    scope: 'https://database.windows.net//.default',
  });
  const token = String(body.access_token);
  expect(entra.verify(token)).toMatchObject({
    ...{ aud: 'https://database.windows.net/', appid: AZURE_CLI, upn: entra.user.userName, tid: entra.tenantId },
  });
  await tediousConnect(server.config({ authentication: withToken(token) }) as never);
});

test('an application gets tokens of several tenants; a tenant that does not exist is refused with AADSTS90002', async () => {
  const entra = closing(await startEntraEmulator());
  const other = entra.addTenant();
  const form = {
    grant_type: 'client_credentials',
    client_id: entra.clientId,
    client_secret: entra.clientSecret,
    scope: 'https://database.windows.net/.default',
  };
  for (const tenant of [entra.tenantId, other]) {
    const { access_token = '' } = await post(entra, `${tenant}/oauth2/v2.0/token`, form);
    expect(entra.verify(access_token)).toMatchObject({ tid: tenant, iss: `${entra.url}/${tenant}/` });
    const discovery = await fetch(`${entra.url}/${tenant}/v2.0/.well-known/openid-configuration`);
    expect(((await discovery.json()) as { issuer: string }).issuer).toBe(`${entra.url}/${tenant}/v2.0`);
  }
  const missing = await post(entra, '99999999-2222-3333-4444-555555555555/oauth2/v2.0/token', form);
  expect(missing.error_codes).toEqual([90_002]);
});

test('emulators of one process share their certificate and signing key', async () => {
  const [first, second] = [closing(await startSqlEmulator()), closing(await startSqlEmulator())];
  expect(first.ca).toBe(second.ca);
  const [one, two] = [closing(await startEntraEmulator()), closing(await startEntraEmulator())];
  for (const each of [one, two]) each.issueToken();
  expect(one.jwks).toEqual(two.jwks);
});

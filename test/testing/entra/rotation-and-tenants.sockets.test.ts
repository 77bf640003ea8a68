import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import {
  type EntraEmulator,
  type SqlEmulator,
  startEntraEmulator,
  startSqlEmulator,
  trustIssuer,
} from '../../../src/testing/index.js';
import { closing, execute, refusedLogin, tediousConnect } from '../sql-clients.js';
import { postToken } from './clients/msal.js';

/** Azure CLI's own application. */
const AZURE_CLI = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';

const withToken = (token: string) => ({ type: 'azure-active-directory-access-token', options: { token } });

describe('while the signing key rotates', () => {
  test('clients of both emulators continue, and earlier tokens stay valid', async () => {
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

  describe('and a server trusts the issuer in another process', () => {
    /** An emulator that counts the requests for its keys, behind an address that can be made to hang. */
    async function issuer() {
      const entra = closing(await startEntraEmulator());
      const state = { keyRequests: 0, hangs: false };
      const front = createServer(async (request, response) => {
        if (state.hangs) return;
        if (request.url?.endsWith('/keys')) state.keyRequests += 1;
        const answer = await fetch(`${entra.url}${request.url}`);
        response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text());
      });
      front.listen(0, '127.0.0.1');
      await once(front, 'listening');
      closing({
        [Symbol.asyncDispose]: async () => {
          front.closeAllConnections();
          front.close();
        },
      });
      const { port } = front.address() as AddressInfo;
      const server = closing(
        await startSqlEmulator({ entra: await trustIssuer(`http://127.0.0.1:${port}/${entra.tenantId}`) }),
      );
      return { entra, server, state };
    }
    const config = (server: SqlEmulator, token: string) =>
      server.config({ authentication: withToken(token), options: { connectTimeout: 15_000 } }) as never;
    const logIn = (server: SqlEmulator, token: string) => tediousConnect(config(server, token));
    const refusal = async (server: SqlEmulator, token: string) => (await refusedLogin(config(server, token))).errors;
    /** A token that names a key which does not exist. */
    const forged = (entra: EntraEmulator, i: number) => {
      const [, claims, signature] = entra.issueToken().split('.');
      const header = { typ: 'JWT', alg: 'RS256', kid: `unknown-${i}` };
      return [Buffer.from(JSON.stringify(header)).toString('base64url'), claims, signature].join('.');
    };

    test('the first login with the new key waits for the key, and earlier tokens stay valid', async () => {
      const { entra, server } = await issuer();
      const earlier = entra.issueToken();
      await entra.rotateSigningKey();
      await logIn(server, entra.issueToken());
      await logIn(server, earlier);
      await entra.rotateSigningKey();
      await logIn(server, entra.issueToken());
      expect(server.logins.map(({ accepted }) => accepted)).toEqual([true, true, true]);
    });

    test('a flood of forged tokens causes one request per second, no login, and does not keep a new key out', async () => {
      const { entra, server, state } = await issuer();
      await entra.rotateSigningKey();
      const startedAt = performance.now();
      const flood = Array.from({ length: 20 }, (_, i) => refusal(server, forged(entra, i)));
      await logIn(server, entra.issueToken());
      expect((await Promise.all(flood)).map(([error]) => error)).toEqual(
        Array(20).fill(expect.objectContaining({ number: 18_456, state: 235 })),
      );
      // The keys of the start, one request at once, and at most one per second, however many tokens there are.
      const seconds = Math.ceil((performance.now() - startedAt) / 1000);
      expect(state.keyRequests).toBeLessThanOrEqual(2 + seconds);
    });

    test('a forged signature with a known key is refused without a request', async () => {
      const { entra, server, state } = await issuer();
      const [header, claims] = entra.issueToken().split('.');
      const [, , signature] = entra.issueToken({ claims: { other: 1 } }).split('.');
      const token = [header, claims, signature].join('.');
      expect(await refusal(server, token)).toMatchObject([{ number: 18_456, state: 235 }]);
      expect(state.keyRequests).toBe(1);
    });

    test('an issuer that hangs delays only logins with an unknown key, and lets none of them in', async () => {
      const { entra, server, state } = await issuer();
      const known = entra.issueToken();
      await entra.rotateSigningKey();
      state.hangs = true;
      const unknown = refusal(server, entra.issueToken());
      await logIn(server, known);
      expect(server.logins.map(({ accepted }) => accepted).sort()).toEqual([false, true]);
      expect(await unknown).toMatchObject([{ number: 18_456, state: 235 }]);
      state.hangs = false;
      const isServed = () =>
        logIn(server, entra.issueToken()).then(
          () => true,
          () => false,
        );
      await expect.poll(isServed).toBe(true);
    });
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

test('trustIssuer() repeats in one line why the issuer refused', async () => {
  const entra = closing(await startEntraEmulator());
  await expect(trustIssuer(`${entra.url}/wrong-tenant`)).rejects.toThrow(/answered 400: AADSTS90002: [^\n]{10,200}$/);
});

import { createPublicKey, verify as verifySignature } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  makeCertificate,
  startEntraEmulator,
  type TokenClaims,
  verifyAccessToken,
} from '../../../src/testing/index.js';

const SCOPE = 'https://database.windows.net/.default';
const AUDIENCE = 'https://database.windows.net';

test('the openid-configuration points to keys that verify the signature', async () => {
  await using entra = await startEntraEmulator();
  for (const path of ['v2.0/', '']) {
    const discovery = await fetch(`${entra.url}/${entra.tenantId}/${path}.well-known/openid-configuration`);
    const configuration = (await discovery.json()) as { jwks_uri: string; token_endpoint: string; issuer: string };
    expect(configuration.token_endpoint).toBe(`${entra.url}/${entra.tenantId}/oauth2/${path}token`);
    const { keys } = (await (await fetch(configuration.jwks_uri)).json()) as { keys: Record<string, string>[] };
    const [header = '', payload = '', signature = ''] = entra.issueToken().split('.');
    const { kid, alg } = JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: string; alg: string };
    const jwk = keys.find((key) => key.kid === kid) ?? {};
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    expect(alg).toBe('RS256');
    expect(
      verifySignature('sha256', Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url')),
    ).toBe(true);
  }
  expect(entra.requests).toEqual([]);
});

test('a verifier needs only the issuer and keys', async () => {
  await using entra = await startEntraEmulator();
  const trust = { jwks: entra.jwks, issuers: [entra.issuer], audience: AUDIENCE };
  expect(verifyAccessToken(entra.issueToken(), trust)).toMatchObject({ appid: entra.clientId });
});

test('verify reports the first error of a token', async () => {
  await using entra = await startEntraEmulator();
  await using other = await startEntraEmulator();
  const good = entra.issueToken();
  const [header, , signature] = good.split('.');
  const forged = `${header}.${Buffer.from(JSON.stringify({ aud: AUDIENCE })).toString('base64url')}.${signature}`;
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${good.split('.')[1]}.`;
  const flaw = (token: string, options = {}) => entra.verify(token, { audience: AUDIENCE, ...options }).error;
  expect(flaw(good)).toBeUndefined();
  expect(flaw('')).toBe('malformed');
  expect(flaw('a.b.c')).toBe('malformed');
  expect(flaw(forged)).toBe('signature');
  expect(flaw(unsigned)).toBe('signature');
  expect(flaw(other.issueToken())).toBe('issuer');
  expect(flaw(entra.issueToken({ audience: 'https://vault.azure.net' }))).toBe('audience');
  expect(flaw(entra.issueToken({ audience: `${AUDIENCE}/` }))).toBeUndefined();
  expect(flaw(entra.issueToken({ expiresInSeconds: -1 }))).toBe('expired');
  expect(flaw(good, { now: Date.now() + 3_601_000 })).toBe('expired');
  expect(flaw(entra.issueToken({ claims: { nbf: Date.now() / 1000 + 60 } }))).toBe('not-yet-valid');
  expect(entra.verify(entra.issueToken({ expiresInSeconds: -1 }))).toMatchObject({
    claims: { oid: expect.any(String) },
  });
});

test('a short lifetime is exact to the millisecond, in the token and in the answer', async () => {
  await using entra = await startEntraEmulator({ tokenLifetimeSeconds: 1.5, now: () => 1_700_000_000_250 });
  const { token, expiresOnTimestamp } = await entra.credential().getToken(SCOPE);
  expect(expiresOnTimestamp).toBe(1_700_000_001_750);
  expect(entra.verify(token)).toMatchObject({ iat: 1_700_000_000, exp: 1_700_000_001.75 });
  expect(entra.verify(token, { now: 1_700_000_001_749 }).error).toBeUndefined();
  expect(entra.verify(token, { now: 1_700_000_001_750 }).error).toBe('expired');
  const form = { grant_type: 'client_credentials', client_id: entra.clientId, client_secret: entra.clientSecret };
  const response = await fetch(`${entra.url}/${entra.tenantId}/oauth2/v2.0/token`, {
    method: 'POST',
    body: new URLSearchParams({ ...form, scope: SCOPE }),
  });
  expect(await response.json()).toMatchObject({ expires_in: 1.5 });
});

test('a long lifetime is in whole seconds, as in Entra', async () => {
  await using entra = await startEntraEmulator({ refreshInSeconds: 1800, now: () => 1_700_000_000_250 });
  const before = Date.now();
  const { token, expiresOnTimestamp, refreshAfterTimestamp = 0 } = await entra.credential().getToken(SCOPE);
  expect(entra.verify(token)).toMatchObject({ exp: 1_700_003_600 });
  expect(expiresOnTimestamp).toBe(1_700_003_600_000);
  expect(refreshAfterTimestamp - before).toBeGreaterThanOrEqual(1_800_000);
  entra.setTokenLifetime(7200);
  expect((await entra.credential().getToken(SCOPE)).refreshAfterTimestamp).toBeUndefined();
  expect(entra.verify(entra.issueToken())).toMatchObject({ exp: 1_700_007_200 });
});

test('every answer has a new token, unless sameToken is set', async () => {
  let now = 1_700_000_000_000;
  await using fresh = await startEntraEmulator();
  await using cached = await startEntraEmulator({ sameToken: true, now: () => now });
  const scope = SCOPE;
  const ask = async (entra: typeof fresh) => (await entra.credential().getToken(scope)).token;
  expect(await ask(fresh)).not.toBe(await ask(fresh));
  const first = await ask(cached);
  expect(await ask(cached)).toBe(first);
  expect((await cached.credential().getToken('https://vault.azure.net/.default')).token).not.toBe(first);
  now += 3_599_999;
  expect(await ask(cached)).toBe(first);
  now += 1;
  expect(await ask(cached)).not.toBe(first);
});

test('old and new tokens are valid after a key rollover', async () => {
  await using entra = await startEntraEmulator();
  const old = entra.issueToken();
  await entra.rotateSigningKey();
  expect(entra.jwks.keys).toHaveLength(2);
  expect(entra.verify(old).error).toBeUndefined();
  expect(entra.verify(entra.issueToken()).error).toBeUndefined();
});

test('tokens of users and other applications contain their names', async () => {
  await using entra = await startEntraEmulator();
  const ada = entra.addUser({ userName: 'ada@contoso.example', displayName: 'Ada' });
  const app = entra.addApp();
  const claims = (principal: Parameters<typeof entra.issueToken>[0]) => entra.verify(entra.issueToken(principal));
  expect(claims({ principal: ada })).toMatchObject({ upn: 'ada@contoso.example', oid: ada.objectId, name: 'Ada' });
  expect(claims({ principal: 'ADA@contoso.example' })).toMatchObject({ oid: ada.objectId });
  expect(claims({ principal: app.clientId })).toMatchObject({ appid: app.clientId, oid: app.objectId });
  expect(() => entra.issueToken({ principal: 'stranger' })).toThrow(
    /knows no application, user or managed identity 'stranger'/,
  );
});

test('version 2 claims on request', async () => {
  await using entra = await startEntraEmulator({ tokenVersion: 2 });
  const claims = entra.verify(entra.issueToken()) as TokenClaims;
  expect(claims).toMatchObject({ azp: entra.clientId, ver: '2.0', iss: `${entra.url}/${entra.tenantId}/v2.0` });
  expect(claims.appid).toBeUndefined();
});

test('a lifetime that is not greater than zero is rejected at once', async () => {
  await expect(startEntraEmulator({ tokenLifetimeSeconds: 0 })).rejects.toThrow(RangeError);
  await using entra = await startEntraEmulator();
  expect(() => entra.setTokenLifetime(Number.NaN)).toThrow(/tokenLifetimeSeconds is NaN/);
  expect(() => entra.setTokenLifetime(60, -1)).toThrow(/refreshInSeconds is -1/);
});

test('after a restart with the same signing key, earlier tokens stay valid', async () => {
  const { key: signingKey } = makeCertificate({ commonName: 'issuer', keyType: 'rsa' });
  const first = await startEntraEmulator({ signingKey });
  const { tenantId } = first;
  const port = Number(new URL(first.url).port);
  const token = first.issueToken();
  await first.close();
  await using second = await startEntraEmulator({ signingKey, tenantId, port });
  expect(second.verify(token).error).toBeUndefined();
});

test('an invalid signing key is rejected and not quoted', async () => {
  const { key } = makeCertificate({ commonName: 'issuer', keyType: 'ec' });
  for (const signingKey of ['no key', key]) {
    const error = await startEntraEmulator({ signingKey }).catch((e) => e);
    expect(error).toMatchObject({ name: 'TypeError', message: 'signingKey must be an RSA private key in PEM form' });
  }
});

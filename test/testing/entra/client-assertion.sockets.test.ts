import { createPrivateKey, sign } from 'node:crypto';
import { ConfidentialClientApplication, type NodeAuthOptions } from '@azure/msal-node';
import { expect, test } from 'vitest';
import {
  type Certificate,
  type EntraEmulator,
  makeCertificate,
  makeCertificateAuthority,
  startEntraEmulator,
  type TokenClaims,
} from '../../../src/testing/index.js';

const SCOPES = ['https://database.windows.net/.default'];
const ca = makeCertificateAuthority({ commonName: 'Company CA' });
const certificate = makeCertificate({ commonName: 'api.contoso.example', keyType: 'rsa', issuer: ca });
const stranger = makeCertificate({ commonName: 'api.contoso.example', keyType: 'rsa' });

/** Gets a token with MSAL and a credential; returns the claims of the token. */
async function tokenWith(
  entra: EntraEmulator,
  clientId: string,
  credential: Pick<NodeAuthOptions, 'clientCertificate' | 'clientAssertion'>,
): Promise<TokenClaims> {
  const app = new ConfidentialClientApplication({ auth: { clientId, ...entra.authority, ...credential } });
  const result = await app.acquireTokenByClientCredential({ scopes: SCOPES });
  return entra.verify(result?.accessToken ?? '') as TokenClaims;
}

const sha256 = ({ key, thumbprintSha256 }: Certificate) => ({
  clientCertificate: { privateKey: key, thumbprintSha256 },
});

test('a registered certificate is accepted by its SHA-256 (PS256) or SHA-1 (RS256) thumbprint', async () => {
  await using entra = await startEntraEmulator();
  const { clientId } = entra.addApp({ certificates: [stranger.cert, certificate.cert] });
  expect(await tokenWith(entra, clientId, sha256(certificate))).toMatchObject({ appid: clientId, appidacr: '2' });
  const sha1 = { clientCertificate: { privateKey: certificate.key, thumbprint: certificate.thumbprint } };
  expect(await tokenWith(entra, clientId, sha1)).toMatchObject({ appid: clientId });
  expect(entra.requests.map((request) => request.status)).toEqual([200, 200]);
});

test('a certificate of another application is refused with AADSTS700027', async () => {
  await using entra = await startEntraEmulator();
  const { clientId } = entra.addApp({ certificates: [certificate.cert] });
  await expect(tokenWith(entra, clientId, sha256(stranger))).rejects.toMatchObject({
    errorCode: 'invalid_client',
    errorNo: 700027,
    status: 401,
  });
});

test('a correct thumbprint with the wrong key is refused', async () => {
  await using entra = await startEntraEmulator();
  const { clientId } = entra.addApp({ certificates: [certificate.cert] });
  const forged = sha256({ ...certificate, key: stranger.key });
  await expect(tokenWith(entra, clientId, forged)).rejects.toMatchObject({ errorNo: 700027 });
});

test('an expired certificate is refused with AADSTS1000502', async () => {
  await using entra = await startEntraEmulator();
  const notAfter = new Date(Date.now() - 1000);
  const expired = makeCertificate({ commonName: 'old', keyType: 'rsa', notAfter });
  const { clientId } = entra.addApp({ certificates: [expired.cert] });
  await expect(tokenWith(entra, clientId, sha256(expired))).rejects.toMatchObject({ errorNo: 1000502 });
});

test('an unregistered certificate is accepted by subject name and issuer if it is sent as x5c', async () => {
  await using entra = await startEntraEmulator();
  const { clientId } = entra.addApp({
    trustedSubjects: [{ commonName: 'api.contoso.example', authority: ca.cert }],
  });
  const withChain = ({ cert, key, thumbprintSha256 }: Certificate) => ({
    clientCertificate: { privateKey: key, thumbprintSha256, x5c: cert + ca.cert },
  });
  expect(await tokenWith(entra, clientId, withChain(certificate))).toMatchObject({ appid: clientId });
  await expect(tokenWith(entra, clientId, sha256(certificate))).rejects.toMatchObject({ errorNo: 700027 });
  await expect(tokenWith(entra, clientId, withChain(stranger))).rejects.toMatchObject({ errorNo: 700027 });
  const renamed = makeCertificate({ commonName: 'other.contoso.example', keyType: 'rsa', issuer: ca });
  await expect(tokenWith(entra, clientId, withChain(renamed))).rejects.toMatchObject({ errorNo: 700027 });
});

test('each fault of an assertion has its AADSTS number', async () => {
  await using entra = await startEntraEmulator();
  const { clientId } = entra.addApp({ certificates: [certificate.cert] });
  const now = Math.floor(Date.now() / 1000);
  const good = { iss: clientId, sub: clientId, aud: `${entra.url}/${entra.tenantId}/oauth2/v2.0/token`, exp: now + 60 };
  const x5t = Buffer.from(certificate.thumbprint, 'hex').toString('base64url');
  const attempt = async (header: object, claims: object, type = 'jwt-bearer') => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signed = `${part(header)}.${part(claims)}`;
    const signature = sign('sha256', Buffer.from(signed), createPrivateKey(certificate.key)).toString('base64url');
    const response = await fetch(`${entra.url}/${entra.tenantId}/oauth2/v2.0/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: clientId,
        scope: SCOPES.join(),
        client_assertion_type: `urn:ietf:params:oauth:client-assertion-type:${type}`,
        client_assertion: `${signed}.${signature}`,
      }),
    });
    const body = (await response.json()) as { error_codes?: number[] };
    return body.error_codes?.[0] ?? response.status;
  };
  const header = { alg: 'RS256', x5t };
  expect(await attempt(header, good)).toBe(200);
  expect(await attempt(header, good, 'saml2-bearer')).toBe(50027);
  expect(await attempt({ alg: 'RS256' }, good)).toBe(50027);
  expect(await attempt({ alg: 'none', x5t }, good)).toBe(50027);
  expect(await attempt({ alg: 'PS256', x5t }, good)).toBe(700027);
  expect(await attempt({ ...header, x5c: ['no certificate'] }, good)).toBe(50027);
  expect(await attempt(header, { ...good, sub: 'somebody' })).toBe(700021);
  expect(await attempt(header, { ...good, aud: 'https://elsewhere.example' })).toBe(700023);
  expect(await attempt(header, { ...good, exp: now - 1 })).toBe(700024);
  expect(await attempt(header, { ...good, nbf: now + 600 })).toBe(700024);
  expect(await attempt(header, { ...good, exp: undefined })).toBe(700024);
});

const SUBJECT = 'system:serviceaccount:shop:api';

test('a federated token is accepted for the registered subject, issuer and audience', async () => {
  await using entra = await startEntraEmulator();
  const { clientId } = entra.addApp({ clientSecret: undefined, federatedCredentials: [{ subject: SUBJECT }] });
  const brought = (token: string) => tokenWith(entra, clientId, { clientAssertion: token });
  const issue = (changes: object = {}) => entra.issueFederatedToken({ subject: SUBJECT, ...changes });
  expect(await brought(issue())).toMatchObject({ appid: clientId, appidacr: '2' });
  await expect(brought(issue({ subject: 'system:serviceaccount:shop:other' }))).rejects.toMatchObject({
    errorCode: 'invalid_client',
    errorNo: 700213,
  });
  await expect(brought(issue({ audience: 'api://elsewhere' }))).rejects.toMatchObject({ errorNo: 700212 });
  await expect(brought(issue({ claims: { iss: 'https://evil.example' } }))).rejects.toMatchObject({ errorNo: 700211 });
  await expect(brought(issue({ expiresInSeconds: -1 }))).rejects.toMatchObject({ errorNo: 700024 });
  await expect(brought(`${issue().slice(0, -8)}AAAAAAAA`)).rejects.toMatchObject({ errorNo: 700027 });
  await expect(brought('rubbish')).rejects.toMatchObject({ errorNo: 50027 });
});

test('a token of an external issuer is verified with its own keys', async () => {
  await using github = await startEntraEmulator();
  await using entra = await startEntraEmulator();
  await github.rotateSigningKey();
  const token = github.issueFederatedToken({ subject: 'repo:contoso/shop:ref:refs/heads/main' });
  const issuer = `${github.url}/federated`;
  const credential = { subject: 'repo:contoso/shop:ref:refs/heads/main', issuer };
  const { clientId } = entra.addApp({ federatedCredentials: [{ ...credential, jwks: github.jwks }] });
  expect(await tokenWith(entra, clientId, { clientAssertion: token })).toMatchObject({ appid: clientId });
  entra.updateApp(clientId, { federatedCredentials: [{ ...credential, jwks: entra.jwks }] });
  await expect(tokenWith(entra, clientId, { clientAssertion: token })).rejects.toMatchObject({ errorNo: 700027 });
});

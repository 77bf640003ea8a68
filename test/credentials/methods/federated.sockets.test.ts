import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { signedHeaders } from '../../../src/credentials/methods/federated/aws.js';
import { createCredential, createTokenPool, type FederatedSource, type TokenPoolConfig } from '../../../src/index.js';
import {
  type EntraEmulator,
  type SqlEmulator,
  startEntraEmulator,
  startSqlEmulator,
} from '../../../src/testing/index.js';
import { clearEnvironment } from '../../support/clear-environment.js';
import { type HttpRequest, type HttpServer, httpServer } from '../../support/http-server.js';
import { query } from '../../support/query.js';
import { unusedPort } from '../../support/unused-port.js';
import { printed } from '../printed.js';

const SCOPE = 'https://database.windows.net/.default';
const AUDIENCE = 'api://AzureADTokenExchange';
const folder = mkdtempSync(join(tmpdir(), 'federated-'));
const file = join(folder, 'token');

let entra: EntraEmulator;
let sql: SqlEmulator;
let issuers: HttpServer;
let requests: HttpRequest[];
/** Overrides the next answers of the issuers. */
let answer: { status: number; body: string } | undefined;
let base: string;

beforeAll(async () => {
  entra = await startEntraEmulator();
  entra.addResource(AUDIENCE);
  sql = await startSqlEmulator({ entra });
  issuers = await httpServer((request) => answer ?? issue(request));
  requests = issuers.requests;
  base = new URL(issuers.url).host;
});
beforeEach(() => {
  requests.length = 0;
  answer = undefined;
  clearEnvironment();
});
afterEach(() => vi.unstubAllEnvs());
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await issuers[Symbol.asyncDispose]();
  await sql.close();
  await entra.close();
});

const KEYS = { AccessKeyId: 'ASIA1', SecretAccessKey: 's3cr3t-key', Token: 'session' };
const METADATA_SESSION = 'metadata-session==';

/** EC2's instance metadata, version 2: nothing without the token of a session. */
function inSession(headers: HttpRequest['headers'], body: string): { status: number; body: string } {
  return headers['x-aws-ec2-metadata-token'] === METADATA_SESSION ? { status: 200, body } : { status: 401, body: '' };
}

/** What each issuer documents. */
function issue({ url, method, headers, body }: HttpRequest): { status: number; body: string } {
  const form = new URLSearchParams(body);
  const audience = url.searchParams.get('audience') ?? form.get('Audience.member.1') ?? AUDIENCE;
  const token = (subject: string) => entra.issueFederatedToken({ subject, audience });
  switch (url.pathname) {
    case '/github':
      return { status: 200, body: JSON.stringify({ count: 1, value: token('repo:shop/api:ref:refs/heads/main') }) };
    case '/computeMetadata/v1/instance/service-accounts/default/identity':
      return { status: 200, body: token('112233445566778899000') };
    case '/container':
      return { status: 200, body: JSON.stringify(KEYS) };
    case '/latest/api/token':
      return method === 'PUT' && Number(headers['x-aws-ec2-metadata-token-ttl-seconds']) > 0
        ? { status: 200, body: METADATA_SESSION }
        : { status: 400, body: '' };
    case '/latest/meta-data/iam/security-credentials/':
      return inSession(headers, 'api-role');
    case '/latest/meta-data/iam/security-credentials/api-role':
      return inSession(headers, JSON.stringify({ Code: 'Success', ...KEYS, Expiration: '2099-01-01T00:00:00Z' }));
    case '/latest/meta-data/placement/region':
      return inSession(headers, 'eu-central-1');
    default:
      return {
        status: 200,
        body: `<GetWebIdentityTokenResponse><GetWebIdentityTokenResult><WebIdentityToken>${token('arn:aws:iam::1:role/api')}</WebIdentityToken></GetWebIdentityTokenResult></GetWebIdentityTokenResponse>`,
      };
  }
}

interface Way {
  subject: string;
  from: () => FederatedSource;
  check?: () => void;
}

const WAYS: Record<string, Way> = {
  'GitHub Actions': {
    subject: 'repo:shop/api:ref:refs/heads/main',
    from() {
      vi.stubEnv('ACTIONS_ID_TOKEN_REQUEST_URL', `http://${base}/github?api-version=2.0`);
      vi.stubEnv('ACTIONS_ID_TOKEN_REQUEST_TOKEN', 'runner-request-token');
      return 'github-actions';
    },
    check() {
      expect(requests[0]?.headers.authorization).toBe('Bearer runner-request-token');
      expect(requests[0]?.url.searchParams.get('audience')).toBe(AUDIENCE);
      expect(requests[0]?.url.searchParams.get('api-version')).toBe('2.0');
    },
  },
  'Google Cloud': {
    subject: '112233445566778899000',
    from() {
      vi.stubEnv('GCE_METADATA_HOST', base);
      return 'google-cloud';
    },
    check() {
      expect(requests[0]?.headers['metadata-flavor']).toBe('Google');
      expect(requests[0]?.url.searchParams.get('audience')).toBe(AUDIENCE);
    },
  },
  'AWS, keys in variables': {
    subject: 'arn:aws:iam::1:role/api',
    from() {
      vi.stubEnv('AWS_REGION', 'eu-central-1');
      vi.stubEnv('AWS_ENDPOINT_URL_STS', `http://${base}/`);
      vi.stubEnv('AWS_ACCESS_KEY_ID', 'ASIA1');
      vi.stubEnv('AWS_SECRET_ACCESS_KEY', 's3cr3t-key');
      vi.stubEnv('AWS_SESSION_TOKEN', 'session');
      return 'aws';
    },
    check: checkSignature,
  },
  'AWS, keys from the container': {
    subject: 'arn:aws:iam::1:role/api',
    from() {
      vi.stubEnv('AWS_REGION', 'eu-central-1');
      vi.stubEnv('AWS_ENDPOINT_URL_STS', `http://${base}/`);
      vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', `http://${base}/container`);
      vi.stubEnv('AWS_CONTAINER_AUTHORIZATION_TOKEN', 'container-token');
      return 'aws';
    },
    check() {
      expect(requests.shift()?.headers.authorization).toBe('container-token');
      checkSignature();
    },
  },
  'AWS, keys and region of an EC2 instance': {
    subject: 'arn:aws:iam::1:role/api',
    from() {
      vi.stubEnv('AWS_ENDPOINT_URL_STS', `http://${base}/`);
      vi.stubEnv('AWS_EC2_METADATA_SERVICE_ENDPOINT', `http://${base}`);
      return 'aws';
    },
    check() {
      expect(requests.splice(0, 4).map(({ method, url }) => `${method} ${url.pathname}`)).toEqual([
        'PUT /latest/api/token',
        'GET /latest/meta-data/iam/security-credentials/',
        'GET /latest/meta-data/iam/security-credentials/api-role',
        'GET /latest/meta-data/placement/region',
      ]);
      checkSignature();
    },
  },
  'a variable of GitLab or Terraform Cloud': {
    subject: 'project_path:shop/api:ref_type:branch:ref:main',
    from() {
      vi.stubEnv('TFC_WORKLOAD_IDENTITY_TOKEN', `${entra.issueFederatedToken({ subject: this.subject })}\n`);
      return { variable: 'TFC_WORKLOAD_IDENTITY_TOKEN' };
    },
  },
  'a file of Kubernetes or SPIFFE': {
    subject: 'spiffe://shop.example/api',
    from() {
      writeFileSync(file, `${entra.issueFederatedToken({ subject: this.subject })}\n`);
      return { file };
    },
  },
  'a function': {
    subject: 'anything',
    from() {
      return async () => entra.issueFederatedToken({ subject: this.subject });
    },
  },
};

/** Recomputes the signature from the request. */
function checkSignature(): void {
  const [request] = requests;
  const headers: HttpRequest['headers'] = request?.headers ?? {};
  const body = request?.body ?? '';
  const date = String(headers['x-amz-date']);
  const at = new Date(date.replace(/(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/, '$1-$2-$3T$4:$5:$6Z'));
  const keys = { id: 'ASIA1', secret: 's3cr3t-key', sessionToken: 'session' };
  const url = new URL(`http://${base}/`);
  const expected = signedHeaders({ url, body, region: 'eu-central-1', keys, at });
  expect(headers.authorization).toBe(expected.authorization);
  expect(Object.fromEntries(new URLSearchParams(body))).toEqual({
    Action: 'GetWebIdentityToken',
    Version: '2011-06-15',
    'Audience.member.1': AUDIENCE,
    DurationSeconds: '300',
    SigningAlgorithm: 'RS256',
  });
}

function options(from: FederatedSource, subject: string) {
  const { clientId } = entra.addApp({ clientSecret: undefined, federatedCredentials: [{ subject }] });
  return { method: 'federated', tenantId: entra.tenantId, authority: entra.url, clientId, from } as const;
}

describe.each(Object.entries(WAYS))('%s', (_, way) => {
  test('logs in to SQL Server as the application', async () => {
    const authentication = options(way.from(), way.subject);
    const config = sql.config({ authentication }) as unknown as TokenPoolConfig;
    await using pool = createTokenPool(config);
    const rows = await pool.use((connection) => query(connection, 'SELECT SUSER_SNAME()'));
    expect(rows[0]?.[0]).toBe(authentication.clientId);
    way.check?.();
  });

  test('the error for a mismatch names the issuer, subject and audience to register', async () => {
    const credential = createCredential(options(way.from(), 'another-subject'));
    const error = await credential.getToken(SCOPE).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'ERR_CREDENTIAL_REJECTED', aadsts: 700213 });
    expect(error.hint).toContain(`subject '${way.subject}'`);
    expect(error.hint).toContain(`audience '${AUDIENCE}'`);
    expect(error.hint).toMatch(/issuer 'http/);
    expect(printed(error)).not.toMatch(/eyJ|s3cr3t|runner-request|container-token|metadata-session/);
  });
});

test('a managed identity, also as the federated credential of an application in another tenant', async () => {
  for (const [name, value] of Object.entries(entra.managedIdentity.imds.env)) vi.stubEnv(name, value);
  const identity = entra.addManagedIdentity();
  const token = await createCredential({ method: 'managed-identity', clientId: identity.clientId })
    .getToken(`${AUDIENCE}/.default`)
    .catch((error) => error);
  const claims = JSON.parse(Buffer.from(String(token.token).split('.')[1] ?? '', 'base64url').toString());
  const { clientId } = entra.addApp({
    clientSecret: undefined,
    federatedCredentials: [{ issuer: claims.iss, subject: claims.sub, audience: claims.aud, jwks: entra.jwks }],
  });
  const authentication = {
    method: 'federated',
    tenantId: entra.tenantId,
    authority: entra.url,
    clientId,
    from: { managedIdentity: { clientId: identity.clientId } },
  } as const;
  const config = sql.config({ authentication }) as unknown as TokenPoolConfig;
  await using pool = createTokenPool(config);
  const rows = await pool.use((connection) => query(connection, 'SELECT SUSER_SNAME()'));
  expect(rows[0]?.[0]).toBe(clientId);
});

test('a rotated file is read again', async () => {
  writeFileSync(file, entra.issueFederatedToken({ subject: 'one' }));
  const credential = createCredential(options({ file }, 'two'));
  await expect(credential.getToken(SCOPE)).rejects.toMatchObject({ aadsts: 700213 });
  writeFileSync(file, entra.issueFederatedToken({ subject: 'two' }));
  expect((await credential.getToken(SCOPE))?.token).toBeTruthy();
});

test.each([
  ['an unknown source', 'github', /Unknown source in 'from'/],
  ['a misspelt source', 'github_actions', /Did you mean 'github-actions'/],
  ['no source', undefined, /'from' is missing/],
  ['a variable that is no name', { variable: 'eyJhbGciOi.J' }, /'from.variable'/],
  ['an empty file name', { file: '' }, /'from.file' is missing/],
  ['a client id in place of the choice', { managedIdentity: 'client-id' }, /'from.managedIdentity' must be an object/],
  ['no choice', { managedIdentity: null }, /'from.managedIdentity' must be an object/],
  ['two sources', { file: '/a/token', variable: 'TOKEN' }, /'from' must have exactly one property/],
  ['a misspelt choice', { managedIdentity: { clientID: 'x' } }, /Did you mean 'clientId'/],
])('%s is refused', (_, from, message) => {
  expect(() => createCredential(options(from as never, 'x'))).toThrow(message);
});

test.each<[string, FederatedSource, RegExp]>([
  ['GitHub Actions', 'github-actions', /id-token: write/],
  ['AWS without keys', 'aws', /no answer from the instance metadata of EC2.*With a profile/s],
  ['a variable that is not set', { variable: 'NOT_SET_HERE' }, /GitLab/],
])('%s outside its platform reports what is missing', async (_, from, hint) => {
  // Nothing is requested from the address of the instance metadata of the machine that runs this test.
  vi.stubEnv('AWS_EC2_METADATA_SERVICE_ENDPOINT', `http://127.0.0.1:${await unusedPort()}`);
  const error = await createCredential(options(from, 'x'))
    .getToken(SCOPE)
    .catch((thrown) => thrown);
  expect(`${error.message} ${error.hint}`).toMatch(hint);
});

test('plain http to another machine is refused before anything is sent', async () => {
  vi.stubEnv('ACTIONS_ID_TOKEN_REQUEST_URL', 'http://github.example/token');
  vi.stubEnv('ACTIONS_ID_TOKEN_REQUEST_TOKEN', 'runner-request-token');
  await expect(createCredential(options('github-actions', 'x')).getToken(SCOPE)).rejects.toThrow(
    /must be an https URL/,
  );
});

test.each([
  ['a page', { status: 200, body: '<html>sign in</html>' }, 'ERR_TOKEN_UNAVAILABLE', /^GitHub Actions failed to/],
  ['a failure', { status: 500, body: 'runner-request-token' }, 'ERR_TOKEN_UNAVAILABLE', /^GitHub Actions failed to/],
  ['throttling', { status: 429, body: 'runner-request-token' }, 'ERR_TOKEN_THROTTLED', /^GitHub Actions throttles/],
  [
    'a refusal that repeats the secret',
    { status: 401, body: '{"error":"denied","error_description":"runner-request-token"}' },
    'ERR_CREDENTIAL_REJECTED',
    /^GitHub Actions refused to issue a token \(HTTP 401, .* Add 'permissions: id-token: write' to the job/,
  ],
])('%s instead of a token is an error without secrets, of the issuer', async (_, reply, code, text) => {
  const from = WAYS['GitHub Actions']?.from() as FederatedSource;
  answer = reply;
  const error = await createCredential(options(from, 'x'))
    .getToken(SCOPE)
    .catch((thrown) => thrown);
  expect(error).toMatchObject({ code });
  expect(`${error.message} ${error.hint}`).toMatch(text);
  expect(printed(error)).not.toContain('runner-request-token');
});

test.each<[string, Record<string, string>, RegExp]>([
  ['keys but no region', { AWS_ACCESS_KEY_ID: 'ASIA1', AWS_SECRET_ACCESS_KEY: 's3cr3t-key' }, /AWS_REGION/],
  [
    'a region that is a host',
    { AWS_REGION: 'evil.example/', AWS_ACCESS_KEY_ID: 'A', AWS_SECRET_ACCESS_KEY: 'B' },
    /REGION/,
  ],
  ['metadata switched off', { AWS_REGION: 'eu-west-1', AWS_EC2_METADATA_DISABLED: 'true' }, /No AWS credentials/],
  [
    'metadata of another machine',
    { AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://metadata.example' },
    /must be an https URL/,
  ],
])('AWS with %s is an error before anything is sent', async (_, variables, message) => {
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
  await expect(createCredential(options('aws', 'x')).getToken(SCOPE)).rejects.toThrow(message);
  expect(requests).toEqual([]);
});

test.each([
  ['a page for the session', { status: 200, body: '<html>\nsign in</html>' }, /grants no session/],
  ['a refusal', { status: 403, body: '' }, /grants no session \(HTTP 403\)/],
  ['no role', { status: 404, body: '' }, /grants no session \(HTTP 404\)/],
])('the instance metadata of EC2 that answers with %s is an error without secrets', async (_, reply, message) => {
  const from = WAYS['AWS, keys and region of an EC2 instance']?.from() as FederatedSource;
  answer = reply;
  await expect(createCredential(options(from, 'x')).getToken(SCOPE)).rejects.toThrow(message);
});

test('a refusal by AWS is reported by its code, without the keys', async () => {
  const from = WAYS['AWS, keys in variables']?.from() as FederatedSource;
  answer = {
    status: 403,
    body: '<Error><Code>OutboundWebIdentityFederationDisabled</Code><Message>s3cr3t-key</Message></Error>',
  };
  const error = await createCredential(options(from, 'x'))
    .getToken(SCOPE)
    .catch((thrown) => thrown);
  expect(error).toMatchObject({
    code: 'ERR_CREDENTIAL_REJECTED',
    message: expect.stringContaining('OutboundWebIdentityFederationDisabled'),
  });
  expect(printed(error)).not.toContain('s3cr3t-key');
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { examine } from '../../src/cli/doctor/examine.js';
import { settingsFrom } from '../../src/connections/settings.js';
import { METHOD_NAMES } from '../../src/credentials/create-credential.js';
import { CredentialUnavailableError, type TokenPoolConfig } from '../../src/index.js';
import { makeCertificate } from '../../src/testing/index.js';
import { FakeTools } from '../credentials/fake-tools.js';
import { clearEnvironment } from '../support/clear-environment.js';
import { type HttpServer, httpServer } from '../support/http-server.js';
import { type Site, site } from '../support/pool.js';
import { unusedPort } from '../support/unused-port.js';

const SECRET = 'secret-of-this-test';
const folder = mkdtempSync(join(tmpdir(), 'doctor-methods-'));
const certificate = makeCertificate({ commonName: 'app', keyType: 'rsa' });
/** An RSA certificate that is not uploaded to the app registration. */
const another = makeCertificate({ commonName: 'another', keyType: 'rsa' });

let here: Site;
let issuer: HttpServer;
/** The next answers of the issuers of federated tokens. */
let answer: { status: number; body: string };
let tools: FakeTools;
let nowhere: string;

beforeAll(async () => {
  here = await site({ entra: { deviceCode: { intervalSeconds: 0.02 } } });
  issuer = await httpServer(() => answer);
  nowhere = `http://127.0.0.1:${await unusedPort()}`;
});
beforeEach(() => {
  clearEnvironment();
  tools = new FakeTools();
});
afterEach(() => {
  here.entra.heal();
  tools.remove();
  vi.unstubAllEnvs();
});
afterAll(async () => {
  await issuer[Symbol.asyncDispose]();
  await here[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** An application of its own, so that no token is in a cache. */
function application(registration: object = {}): { tenantId: string; authority: string; clientId: string } {
  const { tenantId, url: authority } = here.entra;
  const { clientId } = here.entra.addApp({ clientSecret: undefined, ...registration });
  return { tenantId, authority, clientId };
}

function person(): { tenantId: string; authority: string } {
  const { tenantId, url: authority } = here.entra;
  return { tenantId, authority };
}

const env = (variables: Record<string, string>): void => {
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
};

/** A token of another issuer, for the subject `shop`. */
const foreignToken = (): string => here.entra.issueFederatedToken({ subject: 'shop' });

function jwt(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'RS256' })}.${part(claims)}.c2lnbmF0dXJl`;
}

/** The values to enter at the app registration. */
const TO_ENTER =
  /federated credential that matches.*issuer 'http[^']*', subject 'shop', audience 'api:\/\/AzureADToken/;

/** [method, what is wrong, its options, what the doctor says: cause and next step] */
const FAILURES: [method: string, wrong: string, bring: () => object, output: RegExp][] = [
  [
    'service-principal-secret',
    'a wrong secret',
    () => ({ ...application({ clientSecret: 'right' }), clientSecret: SECRET }),
    /AADSTS7000215.*secret is wrong.*az ad app credential reset/,
  ],
  [
    'service-principal-certificate',
    'a certificate that is not uploaded',
    () => ({
      ...application({ clientSecret: undefined, certificates: [certificate.cert] }),
      certificate: another.key + another.cert,
    }),
    /AADSTS700027.*Upload the certificate/,
  ],
  [
    'client-assertion',
    'an assertion that no federated credential matches',
    () => ({ ...application(), assertion: foreignToken }),
    TO_ENTER,
  ],
  [
    'client-assertion',
    'an assertion of another issuer',
    () => ({
      ...application({ federatedCredentials: [{ subject: 'shop', issuer: 'https://other.example' }] }),
      assertion: foreignToken,
    }),
    TO_ENTER,
  ],
  [
    'workload-identity',
    'a service account without a federated credential',
    () => {
      const file = join(folder, 'workload');
      writeFileSync(file, foreignToken());
      return { method: 'workload-identity', ...application(), tokenFilePath: file };
    },
    TO_ENTER,
  ],
  [
    'workload-identity',
    'outside a cluster',
    () => ({ method: 'workload-identity', ...application() }),
    /'tokenFilePath' is missing.*AKS webhook/,
  ],
  [
    'federated',
    'a subject that is not registered (AADSTS700213)',
    () => {
      vi.stubEnv('SHOP_TOKEN', foreignToken());
      const app = application({ federatedCredentials: [{ subject: 'another' }] });
      return { method: 'federated', ...app, from: { variable: 'SHOP_TOKEN' } };
    },
    TO_ENTER,
  ],
  ...([70021, 700211, 700212] as const).map((aadsts): (typeof FAILURES)[number] => [
    'federated',
    `AADSTS${aadsts}`,
    () => {
      here.entra.fail({ aadsts });
      return { method: 'federated', ...application(), from: async () => foreignToken() };
    },
    TO_ENTER,
  ]),
  [
    'federated',
    'GitHub Actions that refuses',
    () => {
      answer = { status: 403, body: `{"message":"${SECRET}"}` };
      env({ ACTIONS_ID_TOKEN_REQUEST_URL: `${issuer.url}/?v=2`, ACTIONS_ID_TOKEN_REQUEST_TOKEN: SECRET });
      return { method: 'federated', ...application(), from: 'github-actions' };
    },
    /GitHub Actions refused to issue a token.*id-token: write/,
  ],
  [
    'federated',
    'a VM of Google Cloud without a service account',
    () => {
      answer = { status: 404, body: 'not found' };
      env({ GCE_METADATA_HOST: new URL(issuer.url).host });
      return { method: 'federated', ...application(), from: 'google-cloud' };
    },
    /Google Cloud has no service account.*Attach a service account/,
  ],
  [
    'federated',
    'AWS without outbound federation',
    () => {
      answer = { status: 403, body: '<Error><Code>OutboundWebIdentityFederationDisabled</Code></Error>' };
      env({
        AWS_REGION: 'eu-west-1',
        AWS_ENDPOINT_URL_STS: issuer.url,
        AWS_ACCESS_KEY_ID: 'AKIA',
        AWS_SECRET_ACCESS_KEY: SECRET,
      });
      return { method: 'federated', ...application(), from: 'aws' };
    },
    /OutboundWebIdentityFederationDisabled.*Enable outbound identity federation/,
  ],
  [
    'federated',
    'a managed identity that is not there',
    () => {
      env({ AZURE_POD_IDENTITY_AUTHORITY_HOST: nowhere });
      return { method: 'federated', ...application(), from: 'managed-identity' };
    },
    /managed identity endpoint does not answer.*Outside Azure, there is no managed identity.*assign one/,
  ],
  [
    'agent-identity',
    'an agent of another blueprint',
    () => ({
      ...application({ clientSecret: SECRET }),
      clientSecret: SECRET,
      agentId: here.entra.addApp({ blueprintClientId: 'another' }).clientId,
    }),
    /AADSTS700213.*does not belong to this blueprint/,
  ],
  [
    'agent-identity',
    'an unknown agent',
    () => ({
      ...application({ clientSecret: SECRET }),
      clientSecret: SECRET,
      agentId: '00000000-0000-4000-8000-000000000000',
    }),
    /AADSTS700016.*no application with this client id/,
  ],
  [
    'on-behalf-of',
    'a token for another application',
    () => ({
      ...application({ clientSecret: SECRET }),
      clientSecret: SECRET,
      userAssertion: here.entra.issueToken({ principal: here.entra.user, audience: 'https://graph.microsoft.com' }),
    }),
    /AADSTS500131.*its audience must be this clientId/,
  ],
  [
    'on-behalf-of',
    'a policy that demands more (insufficient_claims)',
    () => {
      const app = application({ clientSecret: SECRET });
      here.entra.fail({ aadsts: 50076 });
      const userAssertion = here.entra.issueToken({ principal: here.entra.user, audience: app.clientId });
      return { ...app, clientSecret: SECRET, userAssertion };
    },
    /AADSTS50076.*Multi-factor authentication is required/,
  ],
  [
    'password',
    'a wrong password',
    () => ({ ...person(), username: here.entra.user.userName, password: SECRET }),
    /AADSTS50126.*Check user name and password/,
  ],
  [
    'password',
    'multi-factor authentication',
    () => {
      here.entra.fail({ aadsts: 50076 });
      return { ...person(), username: here.entra.addUser().userName, password: SECRET };
    },
    /Multi-factor authentication is required.*Use 'managed-identity' or 'federated'/,
  ],
  [
    'refresh-token',
    'a refresh token that has expired',
    () => {
      here.entra.fail({ aadsts: 700082 });
      return { ...person(), refreshToken: SECRET };
    },
    /AADSTS700082.*sign in again/,
  ],
  [
    'device-code',
    'a person who declines',
    () => ({
      method: 'device-code',
      ...person(),
      onCode: () => here.entra.deviceSignIns.at(-1)?.decline(),
    }),
    /device code sign-in was declined.*Sign in with a new code/,
  ],
  [
    'interactive',
    'a browser that cannot be opened',
    () => ({
      method: 'interactive',
      ...person(),
      openBrowser: () => {
        throw new Error('no display');
      },
    }),
    /No browser could be opened.*'device-code'/,
  ],
  [
    'managed-identity',
    'no endpoint',
    () => {
      env({ AZURE_POD_IDENTITY_AUTHORITY_HOST: nowhere });
      return { method: 'managed-identity', retryTimeoutMs: 0 };
    },
    /no managed identity here.*Assign an identity/i,
  ],
  [
    'managed-identity',
    'an identity that is not assigned',
    () => {
      env(here.entra.managedIdentity.imds.env);
      return { method: 'managed-identity', clientId: '00000000-0000-4000-8000-000000000000', retryTimeoutMs: 0 };
    },
    /does not have the managed identity '00000000.*Assign it to the machine or app/,
  ],
  [
    'managed-identity',
    'a choice that the platform cannot honour',
    () => {
      env(here.entra.managedIdentity.cloudShell.env);
      return { method: 'managed-identity', clientId: '00000000-0000-4000-8000-000000000000', retryTimeoutMs: 0 };
    },
    /Cloud Shell.*Leave out 'clientId'/,
  ],
  [
    'azure-cli',
    'no signed-in account',
    () => {
      tools.install('az', `echo "Please run 'az login' to setup account." >&2; exit 1`);
      return { method: 'azure-cli' };
    },
    /Run: az login/,
  ],
  ['azure-cli', 'a tool that is not installed', () => ({ method: 'azure-cli' }), /Install it: https:\/\/learn/],
  [
    'azure-developer-cli',
    'no signed-in account',
    () => {
      tools.install('azd', 'echo "not logged in, run azd auth login" >&2; exit 1');
      return { method: 'azure-developer-cli' };
    },
    /Run: azd auth login/,
  ],
  [
    'azure-powershell',
    'no signed-in account',
    () => {
      tools.install('pwsh', 'echo "Run Connect-AzAccount to login." >&2; exit 1');
      return { method: 'azure-powershell' };
    },
    /Run: Connect-AzAccount/,
  ],
  [
    'environment',
    'variables that are not set',
    () => ({ method: 'environment' }),
    /AZURE_\* variables do not describe a complete credential.*Not set: AZURE_TENANT_ID/,
  ],
  [
    'chain',
    'no method that works here',
    () => {
      env({ AZURE_POD_IDENTITY_AUTHORITY_HOST: nowhere });
      return { method: 'chain' };
    },
    /environment: .*managed-identity: .*azure-cli: .*\| Tried the following.*\| Set up one of them/s,
  ],
  [
    'access-token',
    'a token that has expired',
    () => ({ token: jwt({ exp: 1_700_000_000, iat: 1_699_990_000 }) }),
    /static access token expired at.*(pass a function|Set|Get)/,
  ],
  [
    'token-credential',
    'a credential that is unavailable',
    () => ({
      credential: {
        async getToken() {
          throw new CredentialUnavailableError('Not on this machine.', { hint: 'Start the agent.' });
        },
      },
    }),
    /Not on this machine.*Start the agent/,
  ],
  [
    'token-credential',
    'a credential that returns nothing',
    () => ({ credential: { getToken: async () => null } }),
    /credential returned no token/i,
  ],
];

async function diagnose(authentication: object): Promise<{ step: string; output: string }> {
  const config = { ...here.server.config(), authentication } as unknown as TokenPoolConfig;
  try {
    const { steps, findings } = await examine(settingsFrom(config), { timeoutMs: 10_000, onStep: () => {} });
    const { step, failure } = steps.at(-1) ?? { step: 'none' };
    const found = findings.map(({ text }) => text).join(' ');
    return { step, output: `${failure?.message} | ${failure?.cause} | ${failure?.next} ${found}` };
  } catch (error) {
    // What the program prints for a setting that is wrong, before the first step.
    const { message, hint } = error as { message: string; hint?: string };
    return { step: 'token', output: `${message} | ${hint}` };
  }
}

test.each(FAILURES)('%s: explains %s', async (_, __, bring, expected) => {
  vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  const { step, output } = await diagnose(bring());
  expect({ step, output }).toEqual({ step: 'token', output: expect.stringMatching(expected) });
  expect(output).not.toMatch(/Not one of the failures|Look the message up|undefined/);
  expect(output).not.toContain(SECRET);
  expect(output).not.toMatch(/eyJ[\w-]{20}/);
});

test('every method has a failure that is explained', () => {
  expect([...new Set(FAILURES.map(([method]) => method))].sort()).toEqual([...METHOD_NAMES].sort());
});

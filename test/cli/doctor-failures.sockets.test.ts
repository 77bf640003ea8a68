import { afterEach, expect, test, vi } from 'vitest';
import { type Examination, examine } from '../../src/cli/doctor/examine.js';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import { settingsFrom } from '../../src/connections/settings.js';
import { type EntraEmulator, makeCertificate } from '../../src/testing/index.js';
import { type Site, site } from '../support/pool.js';
import { unusedPort } from '../support/unused-port.js';

afterEach(() => vi.unstubAllEnvs());

/** A config that signs in through the emulator as any application does: MSAL, client secret. */
function config({ server, entra }: Site, overrides: Partial<TokenPoolConfig> = {}): TokenPoolConfig {
  return { ...server.config(), authentication: application(entra), ...overrides } as TokenPoolConfig;
}

function application(entra: EntraEmulator, changes: object = {}): object {
  const { tenantId, clientId, clientSecret, url: authority } = entra;
  return { tenantId, clientId, clientSecret, authority, ...changes };
}

async function diagnose(
  config: TokenPoolConfig,
  now?: () => number,
): Promise<Examination & { last: string; output: string }> {
  const examination = await examine(settingsFrom(config), { timeoutMs: 5_000, onStep: () => {}, now });
  const { step, failure } = examination.steps.at(-1) as Examination['steps'][number];
  return { ...examination, last: step, output: `${failure?.message} | ${failure?.cause} | ${failure?.next}` };
}

test('when all is well, every step has its tick, its duration and its facts', async () => {
  await using here = await site();
  const { ok, exitCode, steps, recommended } = await diagnose(config(here, { database: 'app' }));
  expect({ ok, exitCode }).toEqual({ ok: true, exitCode: 0 });
  expect(steps.map(({ step }) => step)).toEqual([
    'name resolution',
    'TCP',
    'encryption',
    'certificate',
    'token',
    'login',
    'identity',
    'query',
  ]);
  expect(steps.every(({ durationMs }) => durationMs >= 0)).toBe(true);
  const facts = Object.fromEntries(steps.map(({ step, facts }) => [step, facts]));
  expect(facts.encryption).toEqual({ encryption: 'on' });
  expect(facts.certificate).toMatchObject({ subject: 'localhost', trusted: true });
  expect(facts.token).toMatchObject({
    method: 'service-principal-secret',
    principal: here.entra.clientId,
    tenantId: here.entra.tenantId,
    audience: 'https://database.windows.net',
  });
  expect(Math.abs(facts.token?.issuerClockSkewMs as number)).toBeLessThan(5_000);
  expect(facts.identity).toMatchObject({ login: here.entra.clientId, database: 'app' });
  expect(facts.identity?.edition).toEqual(expect.any(String));
  expect(recommended).toMatchObject({ encrypt: true, trustServerCertificate: false });
  // P10: neither the token nor the secret is anywhere in what is printed.
  const printed = JSON.stringify(steps);
  expect(printed).not.toContain('eyJ');
  expect(printed).not.toContain(here.entra.clientSecret);
});

test('reports a wrong clock, compared with issuer and server', async () => {
  await using here = await site();
  const { findings } = await diagnose(config(here), () => Date.now() + 600_000);
  expect(findings.map(({ text }) => text).join('\n')).toMatch(
    /10 min ahead of the issuer[\s\S]*10 min ahead of the server/,
  );
});

test('explains a server name that DNS does not know', async () => {
  const { last, exitCode, output } = await diagnose({ server: 'no-such-server.invalid', user: 'u', password: 'p' });
  expect({ last, exitCode }).toEqual({ last: 'name resolution', exitCode: 10 });
  expect(output).toMatch(/DNS/);
});

test('explains a port where nothing listens', async () => {
  const port = await unusedPort();
  const { last, exitCode, output } = await diagnose({ server: '127.0.0.1', port, user: 'u', password: 'p' });
  expect({ last, exitCode }).toEqual({ last: 'TCP', exitCode: 11 });
  expect(output).toMatch(/nothing listens/);
});

test('stops at a server without encryption before it requests a token', async () => {
  await using here = await site({ server: { encrypt: 'not-supported' } });
  const { last, exitCode, output } = await diagnose(config(here));
  expect({ last, exitCode }).toEqual({ last: 'encryption', exitCode: 12 });
  expect(output).toMatch(/does not encrypt.*certificate on the server/);
  expect(here.entra.requests).toEqual([]);
});

test('explains an expired certificate', async () => {
  const notBefore = new Date(Date.now() - 2 * 86_400_000);
  const expired = makeCertificate({ commonName: 'localhost', notBefore, notAfter: new Date(Date.now() - 86_400_000) });
  await using here = await site({ server: { certificate: expired } });
  const { last, exitCode, output } = await diagnose(config(here));
  expect({ last, exitCode }).toEqual({ last: 'certificate', exitCode: 13 });
  expect(output).toMatch(/CERT_HAS_EXPIRED.*has expired.*Renew it/);
});

test('explains an untrusted certificate, and one for another name', async () => {
  await using here = await site();
  const untrusted = await diagnose(config(here, { options: {} }));
  expect(untrusted.exitCode).toBe(13);
  expect(untrusted.output).toMatch(/localhost.*not signed by an authority.*NODE_EXTRA_CA_CERTS/);
  const { options } = here.server.config();
  const misnamed = await diagnose(config(here, { options: { ...options, serverName: 'db.example' } }));
  expect(misnamed.output).toMatch(/ERR_TLS_CERT_ALTNAME_INVALID.*another name.*serverName/);
});

test('mentions that the certificate is not checked', async () => {
  await using here = await site();
  const { ok, findings, recommended } = await diagnose(config(here, { options: { trustServerCertificate: true } }));
  expect(ok).toBe(true);
  expect(findings.map(({ text }) => text).join()).toMatch(/not checked/);
  expect(recommended).toMatchObject({ trustServerCertificate: false });
});

/** Entra's refusals, caused as in real life, or simulated by the emulator if that takes a person. */
const REFUSALS: [aadsts: number, bring: (here: Site) => Partial<TokenPoolConfig> | undefined, output: RegExp][] = [
  [700016, ({ entra }) => void entra.removeApp(entra.clientId), /no application with this client id.*app registration/],
  [
    7000215,
    ({ entra }) => ({ authentication: application(entra, { clientSecret: 'the-wrong-secret' }) }),
    /secret is wrong.*az ad app credential reset/,
  ],
  [
    7000222,
    ({ entra }) => void entra.updateApp(entra.clientId, { secretExpiresOn: new Date(0) }),
    /has expired.*az ad app credential reset/,
  ],
  [50034, ({ entra }) => void entra.fail({ aadsts: 50034 }), /no user with this name/],
  [53003, ({ entra }) => void entra.fail({ aadsts: 53003 }), /Conditional Access.*Sign-in logs/],
  [500011, () => ({ scope: 'https://nowhere.example/.default' }), /does not know the resource.*scope/],
  [65001, ({ entra }) => void entra.fail({ aadsts: 65001 }), /consent.*admin-consent/],
  [
    90002,
    ({ entra }) => ({ authentication: application(entra, { tenantId: '00000000-0000-0000-0000-000000000001' }) }),
    /no such tenant.*AZURE_AUTHORITY_HOST/,
  ],
];

test.each(REFUSALS)('AADSTS%i', async (aadsts, bring, expected) => {
  await using here = await site();
  const right = config(here);
  const secret = here.entra.clientSecret;
  const changes = bring(here);
  const { last, exitCode, steps, output } = await diagnose({ ...right, ...changes });
  expect({ last, exitCode }).toEqual({ last: 'token', exitCode: 14 });
  expect(steps.at(-1)?.failure?.aadsts).toBe(aadsts);
  expect(output).toMatch(expected);
  expect(output).not.toContain('the-wrong-secret');
  expect(output).not.toContain(secret);
  expect(here.server.logins).toEqual([]);
});

test('explains a missing managed identity', async () => {
  await using here = await site();
  vi.stubEnv('AZURE_POD_IDENTITY_AUTHORITY_HOST', 'http://127.0.0.1:9');
  for (const name of ['IDENTITY_ENDPOINT', 'MSI_ENDPOINT', 'IMDS_ENDPOINT']) vi.stubEnv(name, undefined);
  const { last, exitCode, output } = await diagnose(config(here, { authentication: { method: 'managed-identity' } }));
  expect({ last, exitCode }).toEqual({ last: 'token', exitCode: 14 });
  expect(output).toMatch(/no managed identity here.*Assign an identity/i);
});

/** SQL Server's answers, in its own words. */
const LOGINS: [
  what: string,
  error: { number: number; state: number; class: number; message: string },
  output: RegExp,
][] = [
  [
    '18456 token expired',
    {
      number: 18456,
      state: 233,
      class: 14,
      message: "Login failed for user '<token-identified principal>'. Token is expired.",
    },
    /had expired.*Set the clock/,
  ],
  [
    '18456 another tenant',
    {
      number: 18456,
      state: 235,
      class: 14,
      message:
        "Login failed for user '<token-identified principal>'. The server is not currently configured to accept this token.",
    },
    /a tenant or cloud that the server does not trust.*ad-admin create/,
  ],
  [
    '18456 anonymous',
    { number: 18456, state: 1, class: 14, message: "Login failed for user 'NT AUTHORITY\\ANONYMOUS LOGON'." },
    /did not accept the token as any principal.*ad-admin create/,
  ],
  [
    '40615 firewall',
    {
      number: 40615,
      state: 1,
      class: 14,
      message:
        "Cannot open server 'shop-sql' requested by the login. Client with IP address '203.0.113.9' is not allowed to access the server.",
    },
    /firewall-rule create .*--server shop-sql .*--start-ip-address 203\.0\.113\.9 --end-ip-address 203\.0\.113\.9/,
  ],
  [
    '40613 not available',
    {
      number: 40613,
      state: 1,
      class: 17,
      message: "Database 'app' on server 'shop-sql' is not currently available.",
    },
    /waking up.*acquireTimeoutMillis/,
  ],
  [
    '37525 no Entra',
    { number: 37525, state: 1, class: 16, message: 'Microsoft Entra authentication is not set up.' },
    /not set up.*ad-admin create/,
  ],
];

test.each(LOGINS)('login refused: %s', async (_, error, expected) => {
  await using here = await site();
  here.server.failLogins(error);
  const { last, exitCode, steps, output } = await diagnose(config(here));
  expect({ last, exitCode }).toEqual({ last: 'login', exitCode: 15 });
  expect(steps.at(-1)?.failure?.number).toBe(error.number);
  expect(output).toMatch(expected);
});

test('login refused: 18456 without a user in the database, and 4060', async () => {
  await using here = await site({ server: { databases: ['app'] } });
  const missing = await diagnose(config(here, { database: 'ap' }));
  expect(missing.steps.at(-1)?.failure?.number).toBe(4060);
  expect(missing.output).toMatch(/no such database.*CREATE USER/);
  const { clientId } = here.entra;
  await using there = await site({
    entra: { app: { clientId } },
    server: { principals: { [clientId]: 'no-database-user' } },
  });
  const { exitCode, output } = await diagnose(config(there));
  expect(exitCode).toBe(15);
  expect(output).toMatch(/no user in this database.*CREATE USER \[name\] FROM EXTERNAL PROVIDER/);
});

test('explains a wrong password of a SQL login', async () => {
  await using here = await site({ server: { users: { ada: 'Right-1!' } } });
  const { server, port, options } = here.server.config();
  const wrong = { server, port, options, user: 'ada', password: 'Wrong-1!' };
  const { last, output } = await diagnose(wrong as TokenPoolConfig);
  expect(last).toBe('login');
  expect(output).toMatch(/Wrong user name or password/);
  expect(output).not.toContain('Wrong-1!');
});

test.each([
  ['github-actions', /GitHub Actions.*id-token: write/],
  [{ variable: 'NO_SUCH_VARIABLE' }, /NO_SUCH_VARIABLE/],
  [{ file: '/no/such/token' }, /\/no\/such\/token|token file/],
])('an assertion that is not there is no missing managed identity: %j', async (from, expected) => {
  await using here = await site();
  for (const name of ['ACTIONS_ID_TOKEN_REQUEST_URL', 'ACTIONS_ID_TOKEN_REQUEST_TOKEN']) vi.stubEnv(name, undefined);
  const { tenantId, clientId, url: authority } = here.entra;
  const { last, output } = await diagnose(
    config(here, { authentication: { method: 'federated', tenantId, clientId, authority, from } } as never),
  );
  expect(last).toBe('token');
  expect(output).toMatch(expected);
  expect(output).not.toMatch(/no managed identity|Not one of the failures/);
});

test('a token login at a server without Entra is not a wrong password', async () => {
  await using here = await site();
  here.server.failLogins({ number: 18456, state: 1, class: 14, message: "Login failed for user ''." });
  const { output } = await diagnose(config(here));
  expect(output).toMatch(/accepts no Entra logins.*gateway/);
});

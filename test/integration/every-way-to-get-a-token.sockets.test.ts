import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { CHANNEL_NAMES, CHANNEL_PREFIX } from '../../src/channels.js';
import { METHOD_NAMES } from '../../src/credentials/create-credential.js';
import {
  type CredentialInput,
  createCredential,
  createTokenPool,
  sharedTokenCache,
  type TokenPool,
  type TokenPoolConfig,
} from '../../src/index.js';
import {
  type EntraEmulator,
  type ManagedIdentityEndpoint,
  makeCertificate,
  type SqlEmulator,
  startEntraEmulator,
  startSqlEmulator,
  type UserAccount,
} from '../../src/testing/index.js';
import { FakeTools } from '../credentials/fake-tools.js';
import { clearEnvironment } from '../support/clear-environment.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { methodsOf } from '../support/method-of.js';
import { query } from '../support/query.js';

// Before anything is loaded: every debug switch that a library may look at.
const switchedOn = vi.hoisted(() => {
  const before = { DEBUG: process.env.DEBUG, AZURE_LOG_LEVEL: process.env.AZURE_LOG_LEVEL };
  Object.assign(process.env, { DEBUG: '*', AZURE_LOG_LEVEL: 'verbose' });
  return { before };
});

const HOUR = 3_600_000;
const MINUTE = 60_000;
const CALLERS = 100;
const subject = 'system:serviceaccount:shop:api';
const certificate = makeCertificate({ commonName: 'app', keyType: 'rsa', days: 400 });
const fixtures = new URL('../credentials/fixtures/', import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'every-way-'));

let entra: EntraEmulator;
let server: SqlEmulator;
let tools: FakeTools;
let toTerminal: () => string;

/** One way of getting a token, ready to use. */
interface Ready {
  authentication: CredentialInput;
  /** What SUSER_SNAME() must say. */
  principal: string;
  /** How often the source of tokens was asked. Default: requests to the emulator. */
  asked?: () => number;
  /** Makes the source fail, and work again. Default: the emulator. */
  breakDown?: () => void;
  restore?: () => void;
  /** Must not turn up in anything printed. */
  secrets?: string[];
}

type Way = [name: string, setUp: () => Ready];

/** An application of its own for each way, so that no two share a token cache. */
function application() {
  const clientSecret = `secret-${Math.random().toString(36).slice(2)}-hidden`;
  const pfxCertificate = readFileSync(new URL('cert.pem', fixtures), 'utf8');
  const app = entra.addApp({
    clientSecret,
    certificates: [certificate.cert, pfxCertificate],
    federatedCredentials: [{ subject }],
  });
  const { tenantId, url: authority } = entra;
  const shared = { tenantId, authority, clientId: app.clientId };
  return { clientId: app.clientId, clientSecret, shared, ready: { principal: app.clientId, secrets: [clientSecret] } };
}

function person() {
  const user = entra.addUser();
  const { tenantId, url: authority } = entra;
  return { user, shared: { tenantId, authority }, ready: { principal: user.userName, secrets: [user.password] } };
}

function onPlatform(platform: ManagedIdentityEndpoint): void {
  for (const [name, value] of Object.entries(platform.env)) vi.stubEnv(name, value);
}

/** A tool that prints a new token each time it runs; broken, it fails. */
function tool(command: string, print: (token: string, seconds: number) => object): Ready {
  const { user, ready } = person();
  const works = () => {
    const seconds = Math.floor((Date.now() + HOUR) / 1000);
    const token = entra.issueToken({ principal: user, expiresInSeconds: 3600 });
    tools.install(command, `cat <<'END'\n${JSON.stringify(print(token, seconds))}\nEND`);
  };
  works();
  return {
    ...ready,
    authentication: '',
    asked: () => tools.runs(command).length,
    breakDown: () => tools.install(command, 'echo broken >&2; exit 1'),
    restore: works,
  };
}

function quoted(value: string): string {
  return `"${value.replaceAll('"', '""')}"`;
}

const azPrints = (accessToken: string, expires_on: number) => ({ accessToken, expires_on });

const managedIdentities = (['imds', 'appService', 'serviceFabric', 'machineLearning', 'azureArc'] as const).map(
  (platform): Way => [
    `managed identity: ${platform}`,
    () => {
      onPlatform(entra.managedIdentity[platform]);
      return {
        authentication: { method: 'managed-identity', arcKeyDirectory: folder },
        principal: entra.systemAssignedIdentity?.clientId ?? '',
      };
    },
  ],
);

const WAYS: Way[] = [
  [
    'service principal: secret',
    () => {
      const { shared, clientSecret, ready } = application();
      return { ...ready, authentication: { ...shared, clientSecret } };
    },
  ],
  [
    'service principal: certificate, PEM',
    () => {
      const { shared, ready } = application();
      return { ...ready, authentication: { ...shared, certificate: certificate.key + certificate.cert } };
    },
  ],
  [
    'service principal: certificate, PFX file',
    () => {
      const { shared, ready } = application();
      const certificatePath = new URL('modern.pfx', fixtures).pathname;
      return { ...ready, authentication: { ...shared, certificatePath, certificatePassword: 'open-sesame' } };
    },
  ],
  [
    'service principal: federated assertion',
    () => {
      const { shared, ready } = application();
      return { ...ready, authentication: { ...shared, assertion: () => entra.issueFederatedToken({ subject }) } };
    },
  ],
  [
    'federated: a token file',
    () => {
      const { shared, ready } = application();
      const file = join(folder, 'token-of-another-issuer');
      writeFileSync(file, entra.issueFederatedToken({ subject, expiresInSeconds: 86_400 }));
      return { ...ready, authentication: { method: 'federated', ...shared, from: { file } } };
    },
  ],
  [
    'agent identity, with the secret of its blueprint',
    () => {
      const { shared, clientId, clientSecret, ready } = application();
      const agent = entra.addApp({ blueprintClientId: clientId });
      return {
        ...ready,
        authentication: { ...shared, clientSecret, agentId: agent.clientId },
        principal: agent.clientId,
        // The blueprint's request for the exchange token comes first.
        asked: () => entra.requests.filter((request) => request.clientId === agent.clientId).length,
      };
    },
  ],
  [
    'workload identity',
    () => {
      const { clientId, ready } = application();
      const file = join(folder, 'federated-token');
      writeFileSync(file, entra.issueFederatedToken({ subject, expiresInSeconds: 86_400 }));
      vi.stubEnv('AZURE_TENANT_ID', entra.tenantId);
      vi.stubEnv('AZURE_CLIENT_ID', clientId);
      vi.stubEnv('AZURE_FEDERATED_TOKEN_FILE', file);
      vi.stubEnv('AZURE_AUTHORITY_HOST', entra.url);
      return { ...ready, authentication: { method: 'workload-identity' } };
    },
  ],
  ...managedIdentities,
  [
    'managed identity: cloudShell',
    () => {
      onPlatform(entra.managedIdentity.cloudShell);
      return { authentication: { method: 'managed-identity' }, principal: entra.user.userName };
    },
  ],
  [
    'managed identity: user-assigned',
    () => {
      onPlatform(entra.managedIdentity.imds);
      const { resourceId, clientId } = entra.addManagedIdentity();
      return { authentication: { method: 'managed-identity', resourceId }, principal: clientId };
    },
  ],
  [
    'device code',
    () => {
      const { user, shared, ready } = person();
      let codes = 0;
      const onCode = () => {
        codes += 1;
        entra.deviceSignIns.at(-1)?.approve(user);
      };
      return { ...ready, asked: () => codes, authentication: { method: 'device-code', ...shared, onCode } };
    },
  ],
  [
    'interactive',
    () => {
      const { user, shared, ready } = person();
      let opened = 0;
      const openBrowser = (url: string) => {
        opened += 1;
        void entra.signIn(url, user);
      };
      return { ...ready, asked: () => opened, authentication: { method: 'interactive', ...shared, openBrowser } };
    },
  ],
  [
    'user name and password',
    () => {
      const { user, shared, ready } = person();
      return { ...ready, authentication: { ...shared, username: user.userName, password: user.password } };
    },
  ],
  [
    'refresh token',
    () => {
      const { user, shared, ready } = person();
      return { ...ready, authentication: { ...shared, refreshToken: () => refreshTokenOf(user) }, asked: renewals };
    },
  ],
  [
    'on behalf of',
    () => {
      const { user, ready } = person();
      const { shared, clientSecret, clientId } = application();
      const userAssertion = () => entra.issueToken({ principal: user, audience: clientId });
      return { ...ready, secrets: [clientSecret], authentication: { ...shared, clientSecret, userAssertion } };
    },
  ],
  ['Azure CLI', () => ({ ...tool('az', azPrints), authentication: { method: 'azure-cli' } })],
  [
    'Azure Developer CLI',
    () => ({
      ...tool('azd', (token, seconds) => ({ token, expiresOn: new Date(seconds * 1000).toISOString() })),
      authentication: { method: 'azure-developer-cli' },
    }),
  ],
  [
    'Azure PowerShell',
    () => ({
      ...tool('pwsh', (token, expires) => ({ token, expires })),
      authentication: { method: 'azure-powershell' },
    }),
  ],
  [
    'token function',
    () => {
      const { clientId } = application();
      let asked = 0;
      let broken = false;
      const authentication = async () => {
        asked += 1;
        if (broken) throw new Error('broken');
        return entra.issueToken({ principal: clientId });
      };
      return {
        authentication,
        principal: clientId,
        asked: () => asked,
        breakDown: () => {
          broken = true;
        },
        restore: () => {
          broken = false;
        },
      };
    },
  ],
  [
    'any TokenCredential',
    () => {
      const { clientId, ready } = application();
      return { ...ready, authentication: { credential: entra.credential(clientId) } };
    },
  ],
  [
    'chain, down to the managed identity',
    () => {
      onPlatform(entra.managedIdentity.imds);
      return { authentication: { method: 'chain' }, principal: entra.systemAssignedIdentity?.clientId ?? '' };
    },
  ],
  [
    'environment variables',
    () => {
      const { clientId, clientSecret, ready } = application();
      vi.stubEnv('AZURE_TENANT_ID', entra.tenantId);
      vi.stubEnv('AZURE_CLIENT_ID', clientId);
      vi.stubEnv('AZURE_CLIENT_SECRET', clientSecret);
      vi.stubEnv('AZURE_AUTHORITY_HOST', entra.url);
      return { ...ready, authentication: { method: 'environment' } };
    },
  ],
  [
    'AzureServiceTokenProvider connection string',
    () => {
      const { clientId, clientSecret, ready } = application();
      vi.stubEnv('AZURE_AUTHORITY_HOST', entra.url);
      const app = `AppId=${clientId};TenantId=${entra.tenantId};AppKey=${quoted(clientSecret)}`;
      return { ...ready, authentication: `RunAs=App;${app}` };
    },
  ],
  [
    'ADO.NET connection string',
    () => {
      const { clientId, clientSecret, ready } = application();
      vi.stubEnv('AZURE_AUTHORITY_HOST', entra.url);
      const app = `User ID=${clientId}@${entra.tenantId};Password=${quoted(clientSecret)}`;
      return { ...ready, authentication: `Authentication=Active Directory Service Principal;${app}` };
    },
  ],
  [
    "tedious's service principal",
    () => {
      const { clientId, clientSecret, ready } = application();
      vi.stubEnv('AZURE_AUTHORITY_HOST', entra.url);
      const options = { clientId, clientSecret, tenantId: entra.tenantId };
      return { ...ready, authentication: { type: 'azure-active-directory-service-principal-secret', options } };
    },
  ],
  [
    "tedious's default",
    () => {
      onPlatform(entra.managedIdentity.appService);
      const { clientId } = entra.addManagedIdentity();
      return { authentication: { type: 'azure-active-directory-default', options: { clientId } }, principal: clientId };
    },
  ],
];

// Sockets, and the timers that guard them, are real.
const clock = clockPerTest('now', { timers: false });
beforeAll(async () => {
  entra = await startEntraEmulator({
    tokenLifetimeSeconds: 3600,
    deviceCode: { intervalSeconds: 0.02 },
    arcKeyDirectory: folder,
  });
  const longLived = makeCertificate({ commonName: 'localhost', days: 400 });
  // Looked up each time: Date is replaced after this.
  server = await startSqlEmulator({ entra, certificate: longLived, now: () => Date.now() });
});
beforeEach(() => {
  tools = new FakeTools();
  toTerminal = terminal();
  clearEnvironment();
});
afterEach(() => {
  entra.heal();
  vi.restoreAllMocks();
  tools.remove();
});
afterAll(async () => {
  await server.close();
  await entra.close();
  rmSync(folder, { recursive: true });
  for (const [name, value] of Object.entries(switchedOn.before)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

const tokenRequests = () => entra.requests.filter((request) => request.status === 200).length;
const renewals = () =>
  entra.requests.filter(({ grantType, status }) => grantType === 'refresh_token' && status === 200).length;

describe.each(WAYS)('%s', (name, setUp) => {
  test('logs in, shares one request, survives two expiries and an outage, and reveals no secret', async () => {
    const { authentication, principal, asked = requestsOfOurs(), secrets = [], ...ready } = setUp();
    note(authentication);
    const config = server.config({
      authentication,
      options: { appName: name },
    }) as unknown as TokenPoolConfig;
    const tokens = sharedTokenCache(createCredential(authentication));
    const printed: unknown[] = [];
    const listener = (event: unknown) => printed.push(event);
    for (const channel of CHANNEL_NAMES) subscribe(CHANNEL_PREFIX + channel, listener);
    await using pool = createTokenPool({ ...config, pool: { max: 5 } });
    const failures = () => printed.filter((event) => isFailure(event) && event.identity === tokens.identity).length;
    const seen = new Set<string>();
    const whoAmI = async (on: TokenPool = pool) => {
      const rows = await on.use((connection) => query(connection, 'SELECT SUSER_SNAME()'));
      const token = tokens.current()?.reveal();
      if (token !== undefined) seen.add(token);
      return rows[0]?.[0];
    };
    try {
      const before = asked();
      const answers = await Promise.all(Array.from({ length: CALLERS }, () => whoAmI()));
      expect(new Set(answers)).toEqual(new Set([principal]));
      expect(asked() - before).toBe(1);

      // The refresh is due, and fails; the current token remains in use, for new logins too.
      (ready.breakDown ?? (() => void entra.fail({ status: 503 })))();
      clock.freeze(52 * MINUTE);
      await using another = createTokenPool(config);
      for (const on of [pool, another]) expect(await whoAmI(on)).toBe(principal);
      // No caller waits for it. It may still be under way, and would find a source that works again, or fail the next
      // caller.
      await expect.poll(failures).toBeGreaterThan(0);
      (ready.restore ?? (() => entra.heal()))();

      for (let life = 0; life < 2; life += 1) {
        clock.freeze(HOUR + MINUTE);
        ready.restore?.();
        expect(await whoAmI()).toBe(principal);
      }
      expect(seen.size).toBeGreaterThanOrEqual(3);
      const logins = server.logins.filter(({ appName }) => appName === name);
      expect(logins.filter(({ accepted }) => !accepted)).toEqual([]);

      const credential = createCredential(authentication);
      printed.push(pool, tokens, credential, credential.principal, tokens.current(), pool.stats);
      expect(toTerminal()).toContain(`${CHANNEL_PREFIX}token:refreshed`);
      const text = everythingIn(printed) + toTerminal();
      for (const secret of [...secrets, ...seen]) {
        expect(text).not.toContain(secret);
        expect(text).not.toContain(encodeURIComponent(secret));
      }
    } finally {
      for (const channel of CHANNEL_NAMES) unsubscribe(CHANNEL_PREFIX + channel, listener);
    }
  });
});

test('a static token logs in until it expires, then rejects before a connection is opened', async () => {
  const clientId = application().clientId;
  const authentication = { token: entra.issueToken({ principal: clientId, expiresInSeconds: 3600 }) };
  note(authentication);
  const config = server.config({ authentication, options: { appName: 'static token' } }) as unknown as TokenPoolConfig;
  const whoAmI = async () => {
    await using pool = createTokenPool(config);
    return (await pool.use((connection) => query(connection, 'SELECT SUSER_SNAME()')))[0]?.[0];
  };
  expect(await whoAmI()).toBe(clientId);
  clock.freeze(HOUR);
  await expect(whoAmI()).rejects.toMatchObject({
    code: 'ERR_TOKEN_EXPIRED',
    hint: expect.stringContaining('function'),
  });
  expect(server.logins.filter(({ appName }) => appName === 'static token')).toHaveLength(1);
});

test('every method of createCredential() is among them', () => {
  expect([...methods].sort()).toEqual([...METHOD_NAMES].sort());
});

test('every identity has its own token', () => {
  const principals = new Map<string, Set<string | undefined>>();
  for (const { appName, principal } of server.logins) {
    principals.set(appName, (principals.get(appName) ?? new Set()).add(principal));
  }
  expect(principals.size).toBe(WAYS.length + 1);
  for (const [, names] of principals) expect(names.size).toBe(1);
});

/** Methods that were tried. */
const methods = new Set<string>();

function note(authentication: CredentialInput): void {
  if (typeof authentication !== 'object' || 'type' in authentication || 'getToken' in authentication) return;
  const { method } = authentication as { method?: string };
  for (const name of methodsOf(Object.keys(authentication), method)) methods.add(name);
}

/** Requests that gave a token since now; a test that runs alone has no others. */
function requestsOfOurs(): () => number {
  const start = tokenRequests();
  return () => tokenRequests() - start;
}

/** What goes to the terminal from now on, instead of going there. */
function terminal(): () => string {
  const written: unknown[] = [];
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, 'write').mockImplementation((text) => written.push(text) > 0);
  }
  for (const method of ['log', 'info', 'debug', 'warn', 'error'] as const) {
    vi.spyOn(console, method).mockImplementation((...words: unknown[]) => void written.push(inspect(words)));
  }
  return () => written.join('');
}

function isFailure(event: unknown): event is { identity: string } {
  return event !== null && typeof event === 'object' && 'error' in event && 'identity' in event;
}

function everythingIn(things: unknown[]): string {
  return things
    .map((thing) => `${inspect(thing, { depth: 12, showHidden: true })} ${safeJson(thing)} ${String(thing)}`)
    .join('\n');
}

function safeJson(thing: unknown): string {
  const seen = new Set<unknown>();
  return JSON.stringify(thing, (_, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value;
    if (seen.has(value)) return '[seen]';
    seen.add(value);
    return value;
  });
}

async function refreshTokenOf(user: UserAccount): Promise<string> {
  const response = await fetch(`${entra.url}/${entra.tenantId}/oauth2/v2.0/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'password',
      client_id: '04b07795-8ddb-461a-bbee-02f9e1bf7b46',
      username: user.userName,
      password: user.password,
      scope: 'https://database.windows.net/.default offline_access openid',
    }),
  });
  return ((await response.json()) as { refresh_token: string }).refresh_token;
}

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCredential, TokenCache, type TokenCredential, TokenPoolError } from '../../../src/index.js';
import { makeCertificate } from '../../../src/testing/certificate.js';
import { cpuLimitMs, cpuMsOf } from '../../support/cpu.js';
import type { ProcessWatch } from '../process-watch.js';
import { everythingPrinted, plantedSecret, secretIn } from '../secrets.js';
import { type Answer, HostileProvider } from './hostile-provider.js';

const SCOPE = 'https://database.windows.net/.default';
const tenantId = '72f988bf-86f1-41af-91ab-2d7cd011db47';
const clientId = '11111111-2222-4333-8444-555555555555';

const REQUEST_TIMEOUT_MS = 400;
const CALLER_TIMEOUT_MS = 700;
/** A busy machine may take this much longer; a hang takes for ever. */
const PATIENCE_MS = 20_000;
/** A request that is repeated within its own time limit, as the protocols of the platforms ask for. */
const MOST_REQUESTS = 40;

/** What a method is created with. */
interface World {
  url: string;
  secret: string;
  /** A file that holds the secret. */
  file: string;
}

interface Method {
  environment?: (world: World) => Record<string, string>;
  create(world: World): TokenCredential;
}

const { cert, key } = makeCertificate({ commonName: 'app', keyType: 'rsa' });
const certificate = `${cert}\n${key}`;
const application = (world: World) => ({ tenantId, clientId, authority: world.url });

/** Every method that talks HTTP, with the provider in the position of its authority or of its platform. */
export const METHODS: Readonly<Record<string, Method>> = {
  'a client secret': { create: (world) => createCredential({ ...application(world), clientSecret: world.secret }) },
  'a certificate': { create: (world) => createCredential({ ...application(world), certificate } as never) },
  'an assertion': {
    create: (world) => createCredential({ ...application(world), assertion: async () => world.secret } as never),
  },
  'a workload identity': {
    create: (world) =>
      createCredential({ method: 'workload-identity', ...application(world), tokenFilePath: world.file } as never),
  },
  'on behalf of': {
    create: (world) =>
      createCredential({ ...application(world), clientSecret: world.secret, userAssertion: jwt(world.secret) }),
  },
  'a refresh token': { create: (world) => createCredential({ ...application(world), refreshToken: world.secret }) },
  'a password': {
    create: (world) => createCredential({ ...application(world), username: 'u@t', password: world.secret }),
  },
  'a device code': {
    create: (world) => createCredential({ method: 'device-code', ...application(world), onCode: () => {} }),
  },
  'a managed identity, IMDS': {
    environment: ({ url }) => ({ AZURE_POD_IDENTITY_AUTHORITY_HOST: url }),
    create: () => createCredential({ method: 'managed-identity' }),
  },
  'a managed identity, App Service': {
    environment: ({ url, secret }) => ({ IDENTITY_ENDPOINT: `${url}/token`, IDENTITY_HEADER: secret }),
    create: () => createCredential({ method: 'managed-identity' }),
  },
  'a managed identity, Azure Machine Learning': {
    environment: ({ url, secret }) => ({ MSI_ENDPOINT: `${url}/token`, MSI_SECRET: secret }),
    create: () => createCredential({ method: 'managed-identity' }),
  },
  'a managed identity, Cloud Shell': {
    environment: ({ url }) => ({ MSI_ENDPOINT: `${url}/token` }),
    create: () => createCredential({ method: 'managed-identity' }),
  },
  'a managed identity, Azure Arc': {
    environment: ({ url }) => ({ IDENTITY_ENDPOINT: `${url}/token`, IMDS_ENDPOINT: url }),
    create: () => createCredential({ method: 'managed-identity' }),
  },
  'GitHub Actions': {
    environment: ({ url, secret }) => ({
      ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/token?x=1`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: secret,
    }),
    create: (world) =>
      createCredential({ method: 'federated', from: 'github-actions', ...application(world) } as never),
  },
};

export interface Exchange {
  /** A key of `METHODS`. */
  method: string;
  script: readonly Answer[];
}

/** At a time. Most of them wait. */
const AT_ONCE = 6;

/** Runs exchanges side by side, and reports one line for each broken promise. */
export async function askHostileProviders(
  exchanges: readonly Exchange[],
  watch: ProcessWatch,
  report: (lines: string[]) => void,
): Promise<void> {
  const left = [...exchanges];
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const { method, script } = next;
      const crashes: string[] = [];
      const lines = await watch.run(crashes, () => askHostileProvider(METHODS[method] as Method, script));
      const name = script.map((answer) => answer.name).join(' | then ');
      report([...lines, ...crashes].map((line) => `${method}: ${line}: ${name}`));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/**
 * Asks a hostile provider for a token, and gives a line for each broken promise: the caller settles in time, with a token or
 * a typed error; back-off holds; no secret in the error; no turn of the event loop that takes long.
 */
async function askHostileProvider(method: Method, answers: readonly Answer[]): Promise<string[]> {
  await using provider = await HostileProvider.start(answers);
  const secret = plantedSecret(48);
  const folder = mkdtempSync(join(tmpdir(), 'hostile-'));
  const world: World = { url: provider.url, secret, file: join(folder, 'token') };
  writeFileSync(world.file, jwt(secret));
  try {
    const credential = withEnvironment(method.environment?.(world) ?? {}, () => method.create(world));
    return await ask(credential, provider, secret);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function ask(credential: TokenCredential, provider: HostileProvider, secret: string): Promise<string[]> {
  const broken: string[] = [];
  const end = new AbortController();
  const bounded: TokenCredential = {
    getToken: (scope, options = {}) => {
      const signals = [end.signal, options.abortSignal].filter((signal) => signal instanceof AbortSignal);
      return credential.getToken(scope, { ...options, abortSignal: AbortSignal.any(signals) });
    },
  };
  const tokens = new TokenCache(bounded, { requestTimeoutMs: REQUEST_TIMEOUT_MS });
  const get = () => tokens.get(SCOPE, { timeoutMs: CALLER_TIMEOUT_MS });
  let outcome: unknown = 'pending';
  const { longestMs } = await cpuMsOf(async () => {
    const late = new Promise((resolve) => setTimeout(resolve, CALLER_TIMEOUT_MS + PATIENCE_MS, 'late').unref());
    outcome = await Promise.race([get().catch((error: unknown) => error ?? new Error('nothing')), late]);
  });
  if (outcome === 'late') broken.push('the caller does not settle');
  if (longestMs > cpuLimitMs(MOST_CPU_MS)) broken.push(`blocked the event loop for ${Math.round(longestMs)} ms`);
  if (outcome instanceof Error) {
    broken.push(...judge(outcome, secret));
    const before = provider.requests;
    for (let again = 0; again < 3; again += 1) await get().catch(() => undefined);
    // The request of a device code goes on behind the caller's back, as it should: it is one sign-in.
    if (provider.requests > MOST_REQUESTS || (isFailure(outcome) && provider.requests > before)) {
      broken.push(`${provider.requests} requests, ${provider.requests - before} of them during the back-off`);
    }
  }
  end.abort();
  if (({} as { access_token?: unknown }).access_token !== undefined) broken.push('Object.prototype was changed');
  return broken;
}

/** 50 ms is the promise; the provider and the test share the process and its processor time. */
const MOST_CPU_MS = 150;

/** The request is over, and did not only outlast the patience of this caller. */
function isFailure(error: Error): boolean {
  return !/ERR_TOKEN_TIMEOUT/.test(String((error as NodeJS.ErrnoException).code));
}

function judge(error: Error, secret: string): string[] {
  const broken: string[] = [];
  if (!(error instanceof TokenPoolError)) return [`not a typed error: ${String(error).slice(0, 120)}`];
  if (!/^ERR_[A-Z_]+$/.test(String(error.code))) broken.push(`an error with the code ${String(error.code)}`);
  if (error.message.trim() === '') broken.push('an error without a message');
  if (error.message.length > 4_000) broken.push(`a message of ${error.message.length} characters`);
  const { retryAfterMs } = error;
  if (
    retryAfterMs !== undefined &&
    !(Number.isFinite(retryAfterMs) && retryAfterMs >= 0 && retryAfterMs < 67 * 60_000)
  ) {
    broken.push(`retryAfterMs ${String(retryAfterMs)}`);
  }
  if (secretIn(everythingPrinted(error), [secret])) broken.push('a secret in an error');
  return broken;
}

function withEnvironment<T>(variables: Record<string, string>, create: () => T): T {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) {
    if (/^(AZURE_|IDENTITY_|MSI_|IMDS_|ACTIONS_)/.test(name)) delete process.env[name];
  }
  Object.assign(process.env, variables);
  try {
    return create();
  } finally {
    for (const name of Object.keys(variables)) delete process.env[name];
    Object.assign(process.env, before);
  }
}

/** The assertion of a user, well-formed and valid for an hour. */
function jwt(signature: string): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 3_600;
  return `${part({ alg: 'RS256' })}.${part({ aud: clientId, tid: tenantId, oid: clientId, exp })}.${signature}`;
}

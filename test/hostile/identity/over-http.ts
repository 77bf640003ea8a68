import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCredential, TokenCache, type TokenCredential, TokenPoolError } from '../../../src/index.js';
import { type Certificate, makeCertificate } from '../../../src/testing/certificate.js';
import { cpuLimitMs, cpuMsOf } from '../../support/cpu.js';
import type { ProcessWatch } from '../process-watch.js';
import { everythingPrinted, plantedSecret, secretIn } from '../secrets.js';
import { type Answer, HostileProvider } from './hostile-provider.js';
import { type FileKind, writeTokenFile } from './token-files.js';

const SCOPE = 'https://database.windows.net/.default';
const tenantId = '72f988bf-86f1-41af-91ab-2d7cd011db47';
const clientId = '11111111-2222-4333-8444-555555555555';

/** Long enough for a busy machine to give its answer: what is not sent in time is not tried. */
const REQUEST_TIMEOUT_MS = 1_000;
const CALLER_TIMEOUT_MS = 1_200;
/** A busy machine may take this much longer; a hang takes forever. */
const PATIENCE_MS = 20_000;
/** A request that is repeated within its own time limit, as the protocols of the platforms ask for. */
const MOST_REQUESTS = 40;

/** What a method is created with. */
interface World {
  url: string;
  secret: string;
  /** A file that holds a token, unless the exchange has another kind of file. */
  file: string;
  /** A folder of which `agent.key` is a file of Azure Arc's agent. */
  folder: string;
  /** An environment variable that holds a token for the time of the exchange. */
  variable: string;
}

interface Method {
  /** Of the method in createCredential(). */
  name: string;
  environment?: (world: World) => Record<string, string>;
  create(world: World): TokenCredential;
  /** The provider speaks https, with this certificate. */
  https?: Certificate;
  /** Reads `World.file`. */
  readsFile?: true;
}

const own = makeCertificate({ commonName: 'app', keyType: 'rsa' });
const certificate = `${own.cert}\n${own.key}`;
/** Of the provider, where the platform names it by its thumbprint. */
const ofProvider = makeCertificate({ commonName: 'localhost' });
/** In Key Vault. No line of its key may be printed. */
const inVault = makeCertificate({ commonName: 'vault', keyType: 'rsa' });
const lineOfKey = inVault.key.split('\n')[3] as string;

const federated = (world: World, from: unknown): TokenCredential =>
  createCredential({ method: 'federated', from, ...application(world) } as never);
const serviceFabric = ({ url, secret }: World): Record<string, string> => ({
  IDENTITY_ENDPOINT: `${url}/token`,
  IDENTITY_HEADER: secret,
  IDENTITY_SERVER_THUMBPRINT: ofProvider.thumbprint,
});
const application = (world: World) => ({ tenantId, clientId, authority: world.url });

/** Every method that talks HTTP, with the provider in the position of its authority or of its platform. */
export const METHODS: Readonly<Record<string, Method>> = {
  'a client secret': {
    name: 'service-principal-secret',
    create: (world) => createCredential({ ...application(world), clientSecret: world.secret }),
  },
  'a certificate': {
    name: 'service-principal-certificate',
    create: (world) => createCredential({ ...application(world), certificate } as never),
  },
  'an assertion': {
    name: 'client-assertion',
    create: (world) => createCredential({ ...application(world), assertion: async () => world.secret } as never),
  },
  'a workload identity': {
    name: 'workload-identity',
    readsFile: true,
    create: (world) =>
      createCredential({ method: 'workload-identity', ...application(world), tokenFilePath: world.file } as never),
  },
  'on behalf of': {
    name: 'on-behalf-of',
    create: (world) =>
      createCredential({ ...application(world), clientSecret: world.secret, userAssertion: jwt(world.secret) }),
  },
  'a refresh token': {
    name: 'refresh-token',
    create: (world) => createCredential({ ...application(world), refreshToken: world.secret }),
  },
  'a password': {
    name: 'password',
    create: (world) => createCredential({ ...application(world), username: 'u@t', password: world.secret }),
  },
  'a device code': {
    name: 'device-code',
    create: (world) => createCredential({ method: 'device-code', ...application(world), onCode: () => {} }),
  },
  'a managed identity, IMDS': {
    name: 'managed-identity',
    environment: ({ url }) => ({ AZURE_POD_IDENTITY_AUTHORITY_HOST: url }),
    create: () => createCredential({ method: 'managed-identity' }),
  },
  'a managed identity, App Service': {
    name: 'managed-identity',
    environment: ({ url, secret }) => ({ IDENTITY_ENDPOINT: `${url}/token`, IDENTITY_HEADER: secret }),
    create: () => createCredential({ method: 'managed-identity', retryTimeoutMs: 0 }),
  },
  'a managed identity, Azure Machine Learning': {
    name: 'managed-identity',
    environment: ({ url, secret }) => ({ MSI_ENDPOINT: `${url}/token`, MSI_SECRET: secret }),
    create: () => createCredential({ method: 'managed-identity', retryTimeoutMs: 0 }),
  },
  'a managed identity, Cloud Shell': {
    name: 'managed-identity',
    environment: ({ url }) => ({ MSI_ENDPOINT: `${url}/token` }),
    create: () => createCredential({ method: 'managed-identity', retryTimeoutMs: 0 }),
  },
  'a managed identity, Azure Arc': {
    name: 'managed-identity',
    environment: ({ url }) => ({ IDENTITY_ENDPOINT: `${url}/token`, IMDS_ENDPOINT: url }),
    create: ({ folder }) =>
      createCredential({ method: 'managed-identity', arcKeyDirectory: folder, retryTimeoutMs: 0 } as never),
  },
  'a managed identity, Service Fabric': {
    name: 'managed-identity',
    https: ofProvider,
    environment: serviceFabric,
    create: () => createCredential({ method: 'managed-identity', retryTimeoutMs: 0 }),
  },
  'a managed identity, user-assigned': {
    name: 'managed-identity',
    environment: ({ url }) => ({ AZURE_POD_IDENTITY_AUTHORITY_HOST: url }),
    create: () => createCredential({ method: 'managed-identity', clientId, retryTimeoutMs: 0 }),
  },
  'GitHub Actions': {
    name: 'federated',
    environment: ({ url, secret }) => ({
      ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/token?x=1`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: secret,
    }),
    create: (world) => federated(world, 'github-actions'),
  },
  GitLab: { name: 'federated', create: (world) => federated(world, { variable: world.variable }) },
  'Google Cloud': {
    name: 'federated',
    environment: ({ url }) => ({ GCE_METADATA_HOST: new URL(url).host }),
    create: (world) => federated(world, 'google-cloud'),
  },
  'AWS STS, with keys in variables': {
    name: 'federated',
    environment: ({ url, secret }) => ({
      AWS_REGION: 'eu-west-1',
      AWS_ENDPOINT_URL_STS: url,
      AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
      AWS_SECRET_ACCESS_KEY: secret,
      AWS_SESSION_TOKEN: `session-${secret}`,
    }),
    create: (world) => federated(world, 'aws'),
  },
  'AWS STS, with keys of the container': {
    name: 'federated',
    environment: ({ url, secret }) => ({
      AWS_REGION: 'eu-west-1',
      AWS_ENDPOINT_URL_STS: url,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: secret,
    }),
    create: (world) => federated(world, 'aws'),
  },
  'AWS STS, with a token file of the container': {
    name: 'federated',
    readsFile: true,
    environment: ({ url, file }) => ({
      AWS_REGION: 'eu-west-1',
      AWS_ENDPOINT_URL_STS: url,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file,
    }),
    create: (world) => federated(world, 'aws'),
  },
  SPIFFE: { name: 'federated', readsFile: true, create: (world) => federated(world, { file: world.file }) },
  'a managed identity as federated credential': {
    name: 'federated',
    environment: ({ url, secret }) => ({ IDENTITY_ENDPOINT: `${url}/token`, IDENTITY_HEADER: secret }),
    create: (world) => federated(world, 'managed-identity'),
  },
  'a certificate in Key Vault': {
    name: 'service-principal-certificate',
    environment: ({ url, secret }) => ({
      AZURE_AUTHORITY_HOST: url,
      IDENTITY_ENDPOINT: `${url}/token`,
      IDENTITY_HEADER: secret,
    }),
    create: ({ url }) =>
      createCredential(`RunAs=App;AppId=${clientId};KeyVaultCertificateSecretIdentifier=${url}/secrets/app`),
  },
  'an agent identity': {
    name: 'agent-identity',
    create: (world) =>
      createCredential({
        method: 'agent-identity',
        agentId: clientId,
        ...application(world),
        clientSecret: world.secret,
      } as never),
  },
  'a browser': {
    name: 'interactive',
    create: (world) =>
      createCredential({
        method: 'interactive',
        ...application(world),
        openBrowser: (url: string) => signIn(url, world.secret),
      } as never),
  },
  'the environment': {
    name: 'environment',
    environment: ({ url, secret }) => ({
      AZURE_AUTHORITY_HOST: url,
      AZURE_TENANT_ID: tenantId,
      AZURE_CLIENT_ID: clientId,
      AZURE_CLIENT_SECRET: secret,
    }),
    create: () => createCredential({ method: 'environment' }),
  },
  'a chain': {
    name: 'chain',
    readsFile: true,
    environment: ({ url, secret, file }) => ({
      AZURE_AUTHORITY_HOST: url,
      AZURE_TENANT_ID: tenantId,
      AZURE_CLIENT_ID: clientId,
      AZURE_FEDERATED_TOKEN_FILE: file,
      IDENTITY_ENDPOINT: `${url}/token`,
      IDENTITY_HEADER: secret,
    }),
    create: () => createCredential({ method: 'chain', members: ['workload-identity', 'managed-identity'] }),
  },
};

/** What a browser sends when someone has signed in; the code is a secret until it is used. */
async function signIn(url: string, code: string): Promise<void> {
  const { searchParams } = new URL(url);
  const body = new URLSearchParams({ code, state: searchParams.get('state') ?? '' });
  await fetch(searchParams.get('redirect_uri') ?? '', { method: 'POST', body });
}

export interface Exchange {
  /** A key of `METHODS`. */
  method: string;
  script: readonly Answer[];
  /** What is in the token file of a method that reads one; default: a token. */
  file?: FileKind | undefined;
}

/** At a time. Most of them wait. */
const AT_ONCE = 24;

/**
 * Runs exchanges side by side and reports one line for each broken promise.
 *
 * Processor time is that of the whole process: an exchange during which the event loop was blocked is run again, alone.
 */
export async function askHostileProviders(
  exchanges: readonly Exchange[],
  watch: ProcessWatch,
  report: (exchange: Exchange, lines: string[]) => void,
): Promise<void> {
  const left = [...exchanges];
  const again: Exchange[] = [];
  const run = async (exchange: Exchange): Promise<string[]> => {
    const { method: name, script, file = 'a token' } = exchange;
    const method = METHODS[name] as Method;
    const crashes: string[] = [];
    const broken = await watch.run(crashes, () => askHostileProvider(method, script, file));
    const answers = script.map((answer) => answer.name).join(' | then ');
    const where = method.readsFile ? `${name}, in whose file is ${file}` : name;
    return [...broken, ...crashes].map((line) => `${where}: ${line}: ${answers}`);
  };
  const work = async (): Promise<void> => {
    for (let exchange = left.shift(); exchange !== undefined; exchange = left.shift()) {
      const lines = await run(exchange);
      if (lines.some((line) => line.includes(BLOCKED))) again.push(exchange);
      else report(exchange, lines);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  for (const exchange of again) report(exchange, await run(exchange));
}

let exchanges = 0;

/**
 * Asks a hostile provider for a token, and gives a line for each broken promise: the caller settles in time, with a token or
 * a typed error; back-off holds; no secret in the error; no turn of the event loop that takes long.
 */
async function askHostileProvider(method: Method, answers: readonly Answer[], kind: FileKind): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'hostile-'));
  const secret = plantedSecret(48);
  const keyFile = join(folder, 'agent.key');
  writeTokenFile(keyFile, 'a token', secret);
  exchanges += 1;
  const variable = `HOSTILE_ID_TOKEN_${exchanges}`;
  process.env[variable] = jwt(secret);
  await using provider = await HostileProvider.start(answers, {
    certificate: method.https,
    keyFile,
    pem: inVault.key + inVault.cert,
  });
  const world: World = { url: provider.url, secret, folder, variable, file: join(folder, 'token') };
  const release = writeTokenFile(world.file, kind, jwt(secret));
  try {
    const credential = withEnvironment(method.environment?.(world) ?? {}, () => method.create(world));
    return await ask(credential, provider, [secret, lineOfKey]);
  } finally {
    release();
    delete process.env[variable];
    rmSync(folder, { recursive: true });
  }
}

async function ask(
  credential: TokenCredential,
  provider: HostileProvider,
  secrets: readonly string[],
): Promise<string[]> {
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
  if (longestMs > cpuLimitMs(MOST_CPU_MS)) broken.push(`${BLOCKED} for ${Math.round(longestMs)} ms`);
  if (outcome instanceof Error) {
    broken.push(...judge(outcome, secrets));
    const before = provider.requests;
    for (let again = 0; again < 3; again += 1) await get().catch(() => undefined);
    // The device code request correctly continues after the caller has left, because it is a single sign-in.
    if (provider.requests > MOST_REQUESTS || (isFailure(outcome) && provider.requests > before)) {
      broken.push(`${provider.requests} requests, ${provider.requests - before} of them during the back-off`);
    }
  }
  end.abort();
  if (({} as { access_token?: unknown }).access_token !== undefined) broken.push('Object.prototype was changed');
  return broken;
}

const BLOCKED = 'blocked the event loop';
/** 50 ms is the promise; the provider and the test share the process and its processor time. */
const MOST_CPU_MS = 150;

/** True if the request itself has ended, as opposed to having outlasted this caller's wait. */
function isFailure(error: Error): boolean {
  return !/ERR_TOKEN_TIMEOUT/.test(String((error as NodeJS.ErrnoException).code));
}

function judge(error: Error, secrets: readonly string[]): string[] {
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
  if (secretIn(everythingPrinted(error), secrets)) broken.push('a secret in an error');
  return broken;
}

function withEnvironment<T>(variables: Record<string, string>, create: () => T): T {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) {
    if (/^(AZURE_|IDENTITY_|MSI_|IMDS_|ACTIONS_|AWS_|GCE_)/.test(name)) delete process.env[name];
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

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { TokenPoolConfig } from '../../connections/config.js';
import { type Settings, settingsFrom } from '../../connections/settings.js';
import type { CredentialInput } from '../../credentials/create-credential.js';
import { METHOD_NAMES } from '../../credentials/create-credential.js';
import { errorCode } from '../../credentials/entra/redact.js';
import { didYouMean } from '../../credentials/input/did-you-mean.js';
import type { FederatedSource } from '../../credentials/methods/federated/assertion-source.js';
import * as registry from '../../credentials/methods/registry.js';
import { ConfigurationError } from '../../errors.js';
import type { Finding } from './step.js';

export const USAGE = `Usage: mssql-token-pool doctor --server S [--database D] [--authentication A] [options]
       mssql-token-pool doctor --connection-string C [options]

Diagnoses a login step by step. At the first failure, it prints the likely cause and what to do next.

  --server S               host, host,port or host\\instance
  --port N                 default 1433
  --database D
  --authentication A       how to get a token. Default: federated with --from, sql-login with --user,
                           service-principal-secret if AZURE_CLIENT_SECRET is set, access-token if SQL_ACCESS_TOKEN is,
                           else managed-identity:
                             managed-identity           [--client-id]
                             service-principal-secret   AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET
                             workload-identity          as the Kubernetes webhook sets it up
                             federated                  --from github-actions, managed-identity, google-cloud, aws,
                                                        file=PATH or variable=NAME; AZURE_TENANT_ID, AZURE_CLIENT_ID
                             access-token               SQL_ACCESS_TOKEN
                             sql-login, password        --user, SQL_PASSWORD
                             any other method           --client-id, --tenant-id, --user as far as it takes them
                             or any value of an ADO.NET connection string, e.g. "Active Directory Default"
  --client-id, --tenant-id, --user, --from
  --connection-string C    an ADO.NET connection string instead; or set SQL_CONNECTION_STRING, which other users of
                           this machine cannot see
  --encrypt strict         TDS 8
  --ca FILE                PEM of the certificate authority that signed the server's certificate
  --trust-server-certificate
  --timeout MS             longest time for one step, default 15000
  --json                   prints JSON, for scripts

Secrets are read only from the environment, and never printed.
Exit code: 0 success, 2 wrong usage, 10 name resolution, 11 TCP, 12 encryption, 13 certificate, 14 token, 15 login,
16 identity, 17 query.
`;

export interface DoctorArgs {
  settings: Settings;
  timeoutMs: number;
  json: boolean;
  /** What is set and has no effect: a secret that is ignored without a word looks like one that is wrong. */
  findings: Finding[];
}

const OPTIONS = {
  server: { type: 'string' },
  port: { type: 'string' },
  database: { type: 'string' },
  authentication: { type: 'string' },
  'client-id': { type: 'string' },
  'tenant-id': { type: 'string' },
  user: { type: 'string' },
  from: { type: 'string' },
  'connection-string': { type: 'string' },
  encrypt: { type: 'string' },
  ca: { type: 'string' },
  'trust-server-certificate': { type: 'boolean' },
  timeout: { type: 'string', default: '15000' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

/** @throws TypeError for an option without its value; ConfigurationError for anything else that is wrong */
export function settingsFromArgs(args: string[], env: NodeJS.ProcessEnv): DoctorArgs | 'help' {
  refuseUnknown(args);
  const { values } = parseArgs({ args, options: OPTIONS });
  if (values.help) return 'help';
  const timeoutMs = Number(values.timeout);
  if (!(timeoutMs > 0)) throw new ConfigurationError('--timeout must be a number of ms greater than 0.');
  const text = values['connection-string'] ?? (values.server === undefined ? env.SQL_CONNECTION_STRING : undefined);
  if (text !== undefined) refuseBesideConnectionString(values);
  const { method, isChosen } = methodFrom(values, env);
  const settings = settingsFrom(text ?? configFrom(values, env, method));
  const findings = text === undefined ? unusedBy(method, isChosen, env) : unusedByConnectionString(env);
  const { options = {} } = settings.configuration;
  options.connectTimeout = Math.min(options.connectTimeout ?? timeoutMs, timeoutMs);
  if (values.ca !== undefined) options.cryptoCredentialsDetails = { ca: readCa(values.ca) };
  if (values['trust-server-certificate']) options.trustServerCertificate = true;
  return { settings, timeoutMs, json: values.json, findings };
}

function readCa(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigurationError(`The file of --ca cannot be read (${errorCode(error) ?? 'unknown'}).`);
  }
}

/**
 * An argument without its option may be a connection string with a password, so it is named by its position only;
 * `parseArgs` would quote it.
 */
function refuseUnknown(args: string[]): void {
  const { tokens } = parseArgs({ args, options: OPTIONS, strict: false, tokens: true });
  for (const token of tokens) {
    const where = `argument ${token.index + 1}`;
    if (token.kind === 'positional') {
      throw new ConfigurationError(`Unexpected ${where}: it belongs to no option.`, {
        hint: 'A connection string goes after --connection-string. See --help.',
      });
    }
    if (token.kind === 'option' && !Object.hasOwn(OPTIONS, token.name)) {
      throw new ConfigurationError(`Unknown option (${where}).${didYouMean(token.name, Object.keys(OPTIONS), '--')}`, {
        hint: 'Secrets are read from environment variables, never from arguments. See --help.',
      });
    }
  }
}

const IN_A_CONNECTION_STRING = [
  'server',
  'port',
  'database',
  'authentication',
  'client-id',
  'tenant-id',
  'user',
  'from',
  'encrypt',
] as const;

type Values = Partial<Record<(typeof IN_A_CONNECTION_STRING)[number], string>>;

function refuseBesideConnectionString(values: Values): void {
  const option = IN_A_CONNECTION_STRING.find((name) => values[name] !== undefined);
  if (option === undefined) return;
  throw new ConfigurationError(`--${option} has no effect with a connection string: add it there.`);
}

/** Secrets in the environment, and what uses them. */
const SECRETS: readonly { variable: string; methods: readonly string[]; usedBy: string }[] = [
  {
    variable: 'AZURE_CLIENT_SECRET',
    methods: ['service-principal-secret', 'environment', 'chain'],
    usedBy: '--authentication service-principal-secret',
  },
  { variable: 'SQL_ACCESS_TOKEN', methods: ['access-token'], usedBy: '--authentication access-token' },
  { variable: 'SQL_PASSWORD', methods: ['sql-login', 'password'], usedBy: '--user NAME, for a SQL login,' },
];

/** How to log in: as chosen, or by what is given. */
function methodFrom(values: Values, env: NodeJS.ProcessEnv): { method: string; isChosen: boolean } {
  const { authentication, from, user } = values;
  if (authentication !== undefined) return { method: authentication, isChosen: true };
  const method =
    (from !== undefined && 'federated') ||
    (user !== undefined && 'sql-login') ||
    (env.AZURE_CLIENT_SECRET && 'service-principal-secret') ||
    (env.SQL_ACCESS_TOKEN && 'access-token') ||
    'managed-identity';
  return { method, isChosen: false };
}

function unusedBy(method: string, isChosen: boolean, env: NodeJS.ProcessEnv): Finding[] {
  const unused = SECRETS.filter(({ variable, methods }) => !isChosen && env[variable] && !methods.includes(method));
  const findings = unused.map(({ variable, usedBy }) => ({
    text: `${variable} is set but not used: ${usedBy} uses it.`,
  }));
  if (!env.SQL_CONNECTION_STRING) return findings;
  return [...findings, { text: 'SQL_CONNECTION_STRING is set but not used, because --server is given.' }];
}

/** The default chain reads AZURE_CLIENT_SECRET; a connection string has no use for the others. */
function unusedByConnectionString(env: NodeJS.ProcessEnv): Finding[] {
  return ['SQL_ACCESS_TOKEN', 'SQL_PASSWORD']
    .filter((variable) => env[variable])
    .map((variable) => ({ text: `${variable} is set but not used: the connection string says how to log in.` }));
}

function configFrom(values: Values, env: NodeJS.ProcessEnv, method: string): TokenPoolConfig | string {
  const { server, port, database, authentication } = values;
  if (server === undefined)
    throw new ConfigurationError('--server or --connection-string is missing.', { hint: 'See --help.' });
  if (authentication !== undefined && /^active\s*directory|^sql\s*password$/i.test(authentication)) {
    return connectionStringFrom(values, env);
  }
  const config: TokenPoolConfig = {
    server,
    ...(port === undefined ? {} : { port: portFrom(port) }),
    ...(database === undefined ? {} : { database }),
    ...(values.encrypt === undefined ? {} : { encrypt: encryptFrom(values.encrypt) }),
  };
  return { ...config, ...loginFrom(values, env, method) };
}

function encryptFrom(text: string): boolean | 'strict' {
  if (text === 'strict') return text;
  if (text !== 'true' && text !== 'false') throw new ConfigurationError('--encrypt must be strict, true or false.');
  return text === 'true';
}

function loginFrom(values: Values, env: NodeJS.ProcessEnv, method: string): Partial<TokenPoolConfig> {
  if (method !== 'sql-login') assertMethod(method);
  const takes = METHOD_OPTIONS.get(method) ?? ['username'];
  refuseWithoutEffect(values, method, takes);
  // A variable is for those methods that have a use for it; an option is for this one.
  const clientId = values['client-id'] ?? (takes.includes('clientId') ? env.AZURE_CLIENT_ID || undefined : undefined);
  const tenantId = values['tenant-id'] ?? (takes.includes('tenantId') ? env.AZURE_TENANT_ID || undefined : undefined);
  const ids = { ...(tenantId === undefined ? {} : { tenantId }), ...(clientId === undefined ? {} : { clientId }) };
  switch (method) {
    case 'sql-login':
      return { user: required(values.user, '--user'), password: required(env.SQL_PASSWORD, 'SQL_PASSWORD') };
    case 'access-token':
      return { authentication: { method, token: required(env.SQL_ACCESS_TOKEN, 'SQL_ACCESS_TOKEN') } };
    case 'password': {
      const username = required(values.user, '--user');
      return { authentication: { method, ...ids, username, password: required(env.SQL_PASSWORD, 'SQL_PASSWORD') } };
    }
    case 'service-principal-secret': {
      const clientSecret = required(env.AZURE_CLIENT_SECRET, 'AZURE_CLIENT_SECRET');
      return { authentication: { method, ...ids, clientSecret } as CredentialInput };
    }
    case 'federated': {
      const from = sourceFrom(required(values.from, '--from'));
      required(clientId, 'AZURE_CLIENT_ID');
      return { authentication: { method, ...ids, from } as CredentialInput };
    }
    default: {
      const person = values.user === undefined ? {} : { username: values.user };
      // Which options it needs is checked when the credential is created.
      return { authentication: { method, ...ids, ...person } as CredentialInput };
    }
  }
}

/** The options of each method, by its name. */
const METHOD_OPTIONS = new Map(Object.values(registry).map(({ name, options }) => [name, Object.keys(options)]));

const OPTION_OF = { 'client-id': 'clientId', 'tenant-id': 'tenantId', user: 'username', from: 'from' } as const;

/** @throws ConfigurationError for an option that the method would ignore */
function refuseWithoutEffect(values: Values, method: string, takes: readonly string[]): void {
  for (const [name, option] of Object.entries(OPTION_OF)) {
    if (values[name as keyof typeof OPTION_OF] === undefined || takes.includes(option)) continue;
    throw new ConfigurationError(`--${name} has no effect with --authentication ${method}.`, {
      hint: `Remove it, or choose another method: --help lists them.`,
    });
  }
}

/** The doctor knows one more method than a credential: a SQL login. */
function assertMethod(method: string): void {
  if (METHOD_NAMES.includes(method)) return;
  const names = [...METHOD_NAMES, 'sql-login'].sort();
  throw new ConfigurationError(`Unknown credential method for --authentication.${didYouMean(method, names)}`, {
    hint: `Methods: ${names.join(', ')}.`,
  });
}

/** `file=PATH`, `variable=NAME`, or the name of a source. */
function sourceFrom(text: string): FederatedSource {
  if (text.startsWith('file=')) return { file: text.slice('file='.length) };
  if (text.startsWith('variable=')) return { variable: text.slice('variable='.length) };
  return text as FederatedSource;
}

/** With these, `User ID` is a user name or absent; with the others, it is an application or identity. */
const NAMES_A_PERSON = /password|interactive|device|integrated/i;

/** An application's secret is never sent as the password of a person. */
function passwordFor(authentication: string, env: NodeJS.ProcessEnv): string | undefined {
  const isApplication = /service\s*principal/i.test(authentication);
  return (isApplication && env.AZURE_CLIENT_SECRET) || env.SQL_PASSWORD;
}

/** ADO.NET's values of `Authentication` are accepted only in a connection string. */
function connectionStringFrom(values: Values, env: NodeJS.ProcessEnv): string {
  const { authentication = '' } = values;
  const port = values.port === undefined ? '' : `,${portFrom(values.port)}`;
  const parts: [string, string | undefined][] = [
    ['Server', `${values.server}${port}`],
    ['Database', values.database],
    ['Authentication', authentication],
    ['User ID', values.user ?? values['client-id'] ?? (NAMES_A_PERSON.test(authentication) ? '' : env.AZURE_CLIENT_ID)],
    ['Password', passwordFor(authentication, env)],
    ['Tenant Id', values['tenant-id']],
    ['Encrypt', values.encrypt],
  ];
  return parts.flatMap(([key, value]) => (value ? `${key}="${value.replaceAll('"', '""')}"` : [])).join(';');
}

function portFrom(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new ConfigurationError('--port must be 1 to 65535.');
  return port;
}

function required(value: string | undefined, name: string): string {
  if (value === undefined || value === '') throw new ConfigurationError(`${name} is missing.`, { hint: 'See --help.' });
  return value;
}

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { TokenPoolConfig } from '../../connections/config.js';
import { type Settings, settingsFrom } from '../../connections/settings.js';
import type { CredentialInput } from '../../credentials/create-credential.js';
import { METHOD_NAMES } from '../../credentials/create-credential.js';
import { errorCode } from '../../credentials/entra/redact.js';
import { didYouMean } from '../../credentials/input/did-you-mean.js';
import type { FederatedSource } from '../../credentials/methods/federated/assertion-source.js';
import { ConfigurationError } from '../../errors.js';

export const USAGE = `Usage: mssql-token-pool doctor --server S [--database D] [--authentication A] [options]
       mssql-token-pool doctor --connection-string C [options]

Diagnoses a login step by step. At the first failure it prints the likely cause and what to do.

  --server S               host, host,port or host\\instance
  --port N                 default 1433
  --database D
  --authentication A       how to get a token; default managed-identity if AZURE_CLIENT_SECRET is not set:
                             managed-identity           [--client-id]
                             service-principal-secret   AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET
                             workload-identity          as the Kubernetes webhook sets it up
                             federated                  --from github-actions, managed-identity, google-cloud, aws,
                                                        file=PATH or variable=NAME; AZURE_TENANT_ID, AZURE_CLIENT_ID
                             access-token               SQL_ACCESS_TOKEN
                             sql-login                  --user, SQL_PASSWORD
                             or any value of an ADO.NET connection string, e.g. "Active Directory Default"
  --client-id, --tenant-id, --user, --from
  --connection-string C    an ADO.NET connection string instead; or set SQL_CONNECTION_STRING, which other users of
                           this machine cannot see
  --encrypt strict         TDS 8
  --ca FILE                PEM of the certificate authority that signed the server's certificate
  --trust-server-certificate
  --timeout MS             longest time for one step, default 15000
  --json                   for scripts

Secrets are read from the environment only, and never printed.
Exit code: 0 success, 2 wrong usage, 10 name resolution, 11 TCP, 12 encryption, 13 certificate, 14 token, 15 login,
16 identity, 17 query.
`;

export interface DoctorArgs {
  settings: Settings;
  timeoutMs: number;
  json: boolean;
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
  if (!(timeoutMs > 0)) throw new ConfigurationError('--timeout must be a number of ms above 0.');
  const text = values['connection-string'] ?? (values.server === undefined ? env.SQL_CONNECTION_STRING : undefined);
  if (text !== undefined) refuseBesideConnectionString(values);
  const settings = settingsFrom(text ?? configFrom(values, env));
  const { options = {} } = settings.configuration;
  options.connectTimeout = Math.min(options.connectTimeout ?? timeoutMs, timeoutMs);
  if (values.ca !== undefined) options.cryptoCredentialsDetails = { ca: readCa(values.ca) };
  if (values['trust-server-certificate']) options.trustServerCertificate = true;
  return { settings, timeoutMs, json: values.json };
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

function configFrom(values: Values, env: NodeJS.ProcessEnv): TokenPoolConfig | string {
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
  return { ...config, ...loginFrom(values, env) };
}

function encryptFrom(text: string): boolean | 'strict' {
  if (text === 'strict') return text;
  if (text !== 'true' && text !== 'false') throw new ConfigurationError('--encrypt must be strict, true or false.');
  return text === 'true';
}

function loginFrom(values: Values, env: NodeJS.ProcessEnv): Partial<TokenPoolConfig> {
  const clientId = values['client-id'] ?? (env.AZURE_CLIENT_ID || undefined);
  const tenantId = values['tenant-id'] ?? (env.AZURE_TENANT_ID || undefined);
  const method = values.authentication ?? (env.AZURE_CLIENT_SECRET ? 'service-principal-secret' : 'managed-identity');
  switch (method) {
    case 'sql-login':
      return { user: required(values.user, '--user'), password: required(env.SQL_PASSWORD, 'SQL_PASSWORD') };
    case 'access-token':
      return { authentication: { method, token: required(env.SQL_ACCESS_TOKEN, 'SQL_ACCESS_TOKEN') } };
    case 'service-principal-secret': {
      const clientSecret = required(env.AZURE_CLIENT_SECRET, 'AZURE_CLIENT_SECRET');
      return { authentication: { method, tenantId, clientId, clientSecret } as CredentialInput };
    }
    case 'managed-identity':
      return { authentication: { method, ...(clientId === undefined ? {} : { clientId }) } };
    case 'federated': {
      const from = sourceFrom(required(values.from, '--from'));
      return {
        authentication: { method, tenantId, clientId: required(clientId, 'AZURE_CLIENT_ID'), from } as CredentialInput,
      };
    }
    default:
      assertMethod(method);
      // Which options it takes is checked when the credential is created.
      return {
        authentication: { method, tenantId, ...(clientId === undefined ? {} : { clientId }) } as CredentialInput,
      };
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

/** ADO.NET's values of `Authentication` are accepted only in a connection string. */
function connectionStringFrom(values: Values, env: NodeJS.ProcessEnv): string {
  const { authentication = '' } = values;
  const port = values.port === undefined ? '' : `,${portFrom(values.port)}`;
  const parts: [string, string | undefined][] = [
    ['Server', `${values.server}${port}`],
    ['Database', values.database],
    ['Authentication', authentication],
    ['User ID', values.user ?? values['client-id'] ?? (NAMES_A_PERSON.test(authentication) ? '' : env.AZURE_CLIENT_ID)],
    ['Password', env.SQL_PASSWORD ?? env.AZURE_CLIENT_SECRET],
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

import { parseConnectionString } from '../credentials/input/connection-string.js';
import { ConfigurationError } from '../errors.js';
import type { TokenPoolConfig } from './config.js';
import { connectionStringFromUrl, isUrl } from './connection-url.js';
import { parseServerAddress } from './server-address.js';

type Draft = TokenPoolConfig & { options: Record<string, unknown>; pool: Record<string, unknown> };
type Setter = (config: Draft, value: string, key: string) => void;
type Convert = (value: string, key: string) => unknown;

/** Each key of SqlClient's, and of mssql's own, under all its names. */
const SETTERS: readonly [names: string, set: Setter][] = [
  ['data source, server, address, addr, network address', setServer],
  ['user id, uid, user', setUser],
  ['password, pwd', key('password', text)],
  ['initial catalog, database', key('database', text)],
  ['encrypt', option('encrypt', encryption)],
  ['trustservercertificate, trust server certificate', option('trustServerCertificate', bool)],
  ['hostnameincertificate, host name in certificate', option('serverName', text)],
  ['connect timeout, connection timeout, timeout', key('connectionTimeout', seconds)],
  ['command timeout', key('requestTimeout', seconds)],
  // mssql's own key, in milliseconds.
  ['request timeout', key('requestTimeout', whole)],
  ['max pool size', poolSetting('max', whole)],
  ['min pool size', poolSetting('min', whole)],
  ['load balance timeout, connection lifetime', poolSetting('maxAgeMillis', (v, k) => seconds(v, k) || undefined)],
  ['application name, app', option('appName', text)],
  ['applicationintent, application intent', option('readOnlyIntent', (v) => v.toLowerCase() === 'readonly')],
  ['multisubnetfailover, multi subnet failover', option('multiSubnetFailover', bool)],
  ['packet size', option('packetSize', whole)],
  ['workstation id, wsid', option('workstationId', text)],
  ['current language, language', option('language', text)],
  ['useutc', option('useUTC', bool)],
  ['stream', key('stream', bool)],
  ['parsejson', key('parseJSON', bool)],
];

/** Keys that have no counterpart in a Node driver, or that this pool decides itself; docs/mssql.md lists them. */
const WITHOUT_EFFECT = `
  asynchronous processing, async, extended properties, initial file name, connectretrycount, connect retry count,
  connectretryinterval, connect retry interval, enlist, failover partner spn, failoverpartnerspn, server spn, serverspn,
  ip address preference, ipaddresspreference, multipleactiveresultsets, multiple active result sets, network library, network,
  net, persist security info, persistsecurityinfo, poolblockingperiod, pool blocking period, replication, transaction binding,
  transparentnetworkipresolution, transparent network ip resolution, type system version, msi endpoint, msi secret`
  .split(',')
  .map((name) => name.trim());

/** Keys that must not be ignored silently, with the values that have no effect. */
const REFUSED: readonly [names: string, harmless: RegExp, hint: string][] = [
  ['pooling', /^(true|yes|1)$/i, "This is a pool: for a single connection use 'Max Pool Size=1'."],
  [
    'failover partner',
    /^$/,
    'Database mirroring is not supported by tedious: use an availability group or failover group with one server name.',
  ],
  ['column encryption setting', /^(disabled)?$/i, 'Always Encrypted is not supported by tedious.'],
  ['enclave attestation url, attestation protocol', /^(none)?$/i, 'Always Encrypted is not supported by tedious.'],
  [
    'integrated security, trusted_connection',
    /^(false|no|0)?$/i,
    "Windows logins need 'domain', 'user' and 'password'; for Microsoft Entra use 'Authentication'.",
  ],
  ['context connection, user instance', /^(false|no|0)?$/i, 'It exists on SQL Server for Windows only.'],
  ['attachdbfilename', /^$/, "Name the database with 'Database'."],
  [
    'servercertificate, server certificate',
    /^$/,
    "Trust the certificate with options.cryptoCredentialsDetails.ca, and name its host with 'HostNameInCertificate'.",
  ],
];

/** Values of `Authentication` that mean user name and password. */
const WITH_PASSWORD = new Set(['sqlpassword', 'notspecified', 'ntlm']);
/** Keys that belong to the credential, which reads them from the same text. */
const OF_THE_CREDENTIAL = new Set([
  'authentication',
  'client id',
  'client secret',
  'tenant id',
  'token',
  'access token',
]);

/** Keys with a secret value; the names of all others may be printed. */
const SECRET = new Set(['password', 'pwd', 'client secret', 'token', 'access token', 'msi secret']);
/** The key of a secret inside the value of another key: a semicolon was forgotten or mistyped. */
const SECRET_INSIDE = /(?:^|[^\p{L}\p{N}])(?:password|pwd|client secret|access token)\s{0,20}=/iu;

const BY_NAME = new Map(SETTERS.flatMap(([names, set]) => names.split(', ').map((name) => [name, set] as const)));
const REFUSED_BY_NAME = new Map(
  REFUSED.flatMap(([names, harmless, hint]) => names.split(', ').map((name) => [name, { harmless, hint }] as const)),
);
const KNOWN = [...BY_NAME.keys(), ...REFUSED_BY_NAME.keys(), ...WITHOUT_EFFECT, ...OF_THE_CREDENTIAL];

/**
 * An ADO.NET connection string, or a URL `mssql://user:password@host:port/database?encrypt=true`, as an mssql config.
 *
 * @throws ConfigurationError that names the key if it is a known one, or its position; values are never quoted
 */
export function configFromConnectionString(connectionString: string): TokenPoolConfig {
  const config: Draft = { server: '', options: {}, pool: {} };
  const text = isUrl(connectionString) ? connectionStringFromUrl(connectionString) : connectionString;
  const entries = parseConnectionString(text, { known: KNOWN });
  for (const [name, value] of entries) {
    if (!SECRET.has(name) && SECRET_INSIDE.test(value)) {
      throw new ConfigurationError(`Connection string: a semicolon is missing inside the value of '${name}'.`);
    }
    BY_NAME.get(name)?.(config, value, name);
    const refused = REFUSED_BY_NAME.get(name);
    if (refused !== undefined && !refused.harmless.test(value)) {
      throw new ConfigurationError(`Connection string: '${name}' with this value is not supported.`, {
        hint: refused.hint,
      });
    }
  }
  const authentication = entries.get('authentication')?.replace(/\s/g, '').toLowerCase();
  if (authentication !== undefined && !WITH_PASSWORD.has(authentication)) config.authentication = text;
  return config;
}

/** `.` and `(local)` are this machine. */
function setServer(config: Draft, value: string): void {
  const { host, instanceName, port } = parseServerAddress(value);
  config.server = /^(\.|\(local\)|\(\.\)|\(localdb\))$/i.test(host) ? 'localhost' : host;
  if (port !== undefined) config.port = port;
  else if (instanceName !== undefined) config.options.instanceName = instanceName;
}

function setUser(config: Draft, value: string): void {
  const match = /^([^\\]+)\\(.+)$/.exec(value);
  if (match === null) config.user = value;
  else [config.domain, config.user] = [match[1], match[2]];
}

function key(name: keyof TokenPoolConfig & string, convert: Convert): Setter {
  return (config, value, from) => {
    Object.assign(config, { [name]: convert(value, from) });
  };
}

function option(name: string, convert: Convert): Setter {
  return (config, value, from) => {
    config.options[name] = convert(value, from);
  };
}

function poolSetting(name: string, convert: Convert): Setter {
  return (config, value, from) => {
    config.pool[name] = convert(value, from);
  };
}

function text(value: string): string {
  return value;
}

/** SqlClient 5 also has `Mandatory` and `Optional` for true and false, and `Strict` for TDS 8. */
function encryption(value: string, from: string): boolean | 'strict' {
  const word = value.toLowerCase();
  if (word === 'strict') return 'strict';
  if (word === 'mandatory' || word === 'optional') return word === 'mandatory';
  return bool(value, from);
}

function seconds(value: string, from: string): number {
  return whole(value, from) * 1000;
}

function bool(value: string, from: string): boolean {
  if (/^(true|yes|1)$/i.test(value)) return true;
  if (/^(false|no|0)$/i.test(value)) return false;
  throw new ConfigurationError(`Connection string: '${from}' must be true or false.`);
}

function whole(value: string, from: string): number {
  if (!/^\d+$/.test(value)) throw new ConfigurationError(`Connection string: '${from}' must be a whole number.`);
  return Number(value);
}

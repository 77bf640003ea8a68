import { parseConnectionString } from '../credentials/input/connection-string.js';
import { ConfigurationError } from '../errors.js';
import type { TokenPoolConfig } from './config.js';

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

/** Keys that mean nothing to a Node driver, or that this pool decides itself. */
const WITHOUT_EFFECT = new Set(
  [
    'asynchronous processing, async, attachdbfilename, extended properties, initial file name, column encryption setting',
    'enclave attestation url, attestation protocol, connectretrycount, connect retry count, connectretryinterval',
    'connect retry interval, context connection, enlist, failover partner, failover partner spn, server spn, serverspn',
    'failoverpartnerspn, ip address preference, ipaddresspreference, multipleactiveresultsets, multiple active result sets',
    'network library, network, net, persist security info, persistsecurityinfo, poolblockingperiod, pool blocking period',
    'pooling, replication, transaction binding, transparentnetworkipresolution, transparent network ip resolution',
    'type system version, user instance, integrated security, trusted_connection, msi endpoint, msi secret',
    'servercertificate, server certificate',
  ]
    .join(', ')
    .split(', '),
);

/** Values of `Authentication` that mean user name and password. */
const WITH_PASSWORD = new Set(['sqlpassword', 'notspecified', 'ntlm']);
/** What a credential is made of; it reads them from the same text. */
const OF_THE_CREDENTIAL = new Set([
  'authentication',
  'client id',
  'client secret',
  'tenant id',
  'token',
  'access token',
]);

const BY_NAME = new Map(SETTERS.flatMap(([names, set]) => names.split(', ').map((name) => [name, set] as const)));

/**
 * An ADO.NET connection string as an mssql config.
 *
 * @throws ConfigurationError that names the key; values are never quoted
 */
export function configFromConnectionString(connectionString: string): TokenPoolConfig {
  const config: Draft = { server: '', options: {}, pool: {} };
  const entries = parseConnectionString(connectionString);
  for (const [name, value] of entries) {
    const set = BY_NAME.get(name);
    if (set !== undefined) set(config, value, name);
    else if (!WITHOUT_EFFECT.has(name) && !OF_THE_CREDENTIAL.has(name)) {
      throw new ConfigurationError(`Connection string: the key '${name}' is not known.`);
    }
  }
  const authentication = entries.get('authentication')?.replace(/\s/g, '').toLowerCase();
  if (authentication !== undefined && !WITH_PASSWORD.has(authentication)) config.authentication = connectionString;
  return config;
}

/** `tcp:host,port`, `host\instance`, `.` and `(local)`. */
function setServer(config: Draft, value: string): void {
  if (/^(np|lpc|admin):/i.test(value)) {
    throw new ConfigurationError(
      "Connection string: 'server' must use TCP; named pipes, shared memory and DAC are not supported.",
    );
  }
  const match = /^(?:tcp:)?\s*([^,\\]+?)\s*(?:\\\s*([^,]+?)\s*)?(?:,\s*(\d+)\s*)?$/i.exec(value);
  if (match === null)
    throw new ConfigurationError("Connection string: 'server' must be host, host,port or host\\instance.");
  const [, host = '', instance, port] = match;
  config.server = /^(\.|\(local\)|\(\.\)|\(localdb\))$/i.test(host) ? 'localhost' : host;
  if (port !== undefined) config.port = Number(port);
  else if (instance !== undefined) config.options.instanceName = instance;
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

/** SqlClient 5: `Mandatory` and `Optional` beside true and false, and `Strict` for TDS 8. */
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

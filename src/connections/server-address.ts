import { ConfigurationError } from '../errors.js';

/** The address of a server, as written in one string. */
export interface ServerAddress {
  host: string;
  /** Undefined if there is a port, because the port alone determines the instance. */
  instanceName: string | undefined;
  port: number | undefined;
}

/** A host name has at most 253 characters (RFC 1035 section 2.3.4), an instance name 16. */
const LONGEST = 300;
/**
 * A name or an IPv4 address; or an IPv6 address. Anything else, such as a URL or part of a connection string, would be
 * printed as the server's name, including a password in it.
 */
const HOST = /^(?:[\p{L}\p{N}._()-]{1,255}|\[?[\da-f:.]{2,45}(?:%\w{1,32})?\]?)$/iu;
/** A label of a host name has at most 63 characters (RFC 1035 section 2.3.4); a part of a token has more. */
const LONGEST_LABEL = 63;
/**
 * A letter, `_`, `&` or `#`, then letters, digits and `_ $ # &`, 16 characters in all (SQL Server's rules for instance
 * names). It is printed as part of the server's name, like the host.
 */
const INSTANCE = /^[\p{L}_&#][\p{L}\p{N}_$#&]{0,15}$/u;
const FORMS = "'server' must be a host name, host,port or host\\instance.";

/**
 * Reads `host`, `host,port` and `host\instance`; `tcp:` in front of them, as the Azure portal shows it, is allowed.
 *
 * @example
 * parseServerAddress('tcp:db.example.com,1433'); // { host: 'db.example.com', port: 1433, instanceName: undefined }
 *
 * @throws ConfigurationError
 */
export function parseServerAddress(text: unknown): ServerAddress {
  if (text === undefined || text === null || text === '') {
    throw new ConfigurationError("'server' is missing: set it to the host name of the SQL Server.");
  }
  if (typeof text !== 'string') throw new ConfigurationError(FORMS);
  const trimmed = text.trim();
  if (trimmed.length > LONGEST) throw new ConfigurationError(FORMS);
  if (/^(np|lpc|admin):/i.test(trimmed)) {
    throw new ConfigurationError("'server' must use TCP; named pipes, shared memory and DAC are not supported.");
  }
  const [target = '', portText, ...more] = trimmed.replace(/^tcp:/i, '').split(',');
  const [host = '', instance, ...deeper] = target.split('\\').map((part) => part.trim());
  const port = portText === undefined ? undefined : portOf(portText.trim());
  const isHost = HOST.test(host) && host.split('.').every((label) => label.length <= LONGEST_LABEL);
  const isInstance = instance === undefined || isInstanceName(instance);
  const isExtra = more.length > 0 || deeper.length > 0;
  if (!isHost || !isInstance || isExtra || Number.isNaN(port)) throw new ConfigurationError(FORMS);
  return { host, instanceName: port === undefined ? instance : undefined, port };
}

/** Whether a string is a valid name of a SQL Server instance. */
export function isInstanceName(text: unknown): boolean {
  return typeof text === 'string' && INSTANCE.test(text);
}

/** NaN for anything but a port. */
function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  return port >= 1 && port <= 65_535 ? port : Number.NaN;
}

/**
 * Whether mssql would read the string as a host name alone: it splits `host\instance`, but handles neither a port nor
 * `tcp:`.
 */
export function namesPort(server: unknown): boolean {
  return typeof server === 'string' && (server.includes(',') || /^\s*tcp:/i.test(server));
}

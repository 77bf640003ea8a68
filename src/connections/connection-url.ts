import { ConfigurationError } from '../errors.js';

const FORM = 'mssql://user:password@host:port/database?encrypt=true';
const LONGEST = 65_536;

/** Whether a text is a URL and not `key=value;...`. */
export function isUrl(text: string): boolean {
  return /^\s{0,100}(?:jdbc:)?[a-z][a-z0-9+.-]{1,20}:\/\//i.test(text);
}

/** The form of JDBC and Prisma; with `;database=...` after the port it is not a URL. */
const OF_JDBC = /^\s{0,100}(?:jdbc:|sqlserver:)/i;

/**
 * Converts a URL to the equivalent ADO.NET connection string. Names in the query are those of connection strings.
 *
 * @throws ConfigurationError that never quotes a part of the URL
 */
export function connectionStringFromUrl(text: string): string {
  if (OF_JDBC.test(text)) {
    throw new ConfigurationError(
      "Connection URL: 'sqlserver://' is the form of JDBC and Prisma, which is not supported here.",
      {
        hint: `Use ${FORM}, or an ADO.NET connection string: Server=host,port;Database=...;User Id=...;Password=...`,
      },
    );
  }
  const url = parse(text);
  if (url.protocol !== 'mssql:') {
    throw new ConfigurationError('Connection URL: only mssql:// is known.', { hint: `The form is ${FORM}.` });
  }
  if (url.hostname === '')
    throw new ConfigurationError('Connection URL: the host is missing.', { hint: `The form is ${FORM}.` });
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const entries: [name: string, value: string][] = [['Server', url.port === '' ? host : `${host},${url.port}`]];
  const database = decode(url.pathname.slice(1), 'database');
  if (database !== '') entries.push(['Database', database]);
  if (url.username !== '') entries.push(['User Id', decode(url.username, 'user')]);
  if (url.password !== '') entries.push(['Password', decode(url.password, 'password')]);
  let count = 0;
  for (const [name, value] of url.searchParams) {
    count += 1;
    if (!/^[a-z_ ]{1,50}$/i.test(name)) {
      throw new ConfigurationError(
        `Connection URL: setting ${count} of the query is not a setting of connection strings.`,
      );
    }
    entries.push([name, value]);
  }
  return entries.map(([name, value]) => `${name}="${value.replaceAll('"', '""')}"`).join(';');
}

function parse(text: string): URL {
  try {
    if (text.length <= LONGEST) return new URL(text.trim());
  } catch {
    // The error of URL quotes its input.
  }
  throw new ConfigurationError('Connection URL: it cannot be read.', {
    hint: `The form is ${FORM}; reserved characters in user and password are percent-encoded (encodeURIComponent).`,
  });
}

function decode(text: string, part: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ConfigurationError(`Connection URL: the ${part} is not percent-encoded correctly.`, {
      hint: 'Encode it with encodeURIComponent.',
    });
  }
}

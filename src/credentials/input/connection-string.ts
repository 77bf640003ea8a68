import { ConfigurationError } from '../../errors.js';
import { didYouMean } from './did-you-mean.js';

export interface ConnectionStringOptions {
  /** A repeated key: SqlClient takes the last one, AzureServiceTokenProvider refuses it. Default `last`. */
  repeated?: 'last' | 'error' | undefined;
  /** The keys that may occur, in lower case with single spaces. Default: any. */
  known?: readonly string[] | undefined;
}

/** SqlClient's own limit is 32,767 characters for a value; longer text is not a connection string. */
const LONGEST = 65_536;

/**
 * Splits a connection string by the ADO.NET grammar (SqlConnection.ConnectionString; OLE DB init string syntax):
 * `key=value;key=value`, keys case-insensitive, `==` in a key is `=`, values in single or double quotes with the quote
 * doubled inside, or in braces as mssql and ODBC read them. Keys are returned in lower case with single spaces.
 *
 * Errors name a key only if it is in `known`, and its position otherwise: a password with `;` and `=` looks like a key.
 *
 * @throws ConfigurationError
 */
export function parseConnectionString(text: string, options: ConnectionStringOptions = {}): Map<string, string> {
  const { repeated = 'last', known } = options;
  if (text.length > LONGEST) throw new ConfigurationError('The connection string is longer than 65,536 characters.');
  const entries = new Map<string, string>();
  let at = 0;
  while (at < text.length) {
    if (text[at] === ';' || /\s/.test(text[at] ?? '')) {
      at += 1;
      continue;
    }
    const start = at;
    const key = readKey();
    const shown = known?.includes(key) ? `'${key}'` : `the key at position ${start}`;
    if (known !== undefined && !known.includes(key)) {
      throw new ConfigurationError(`Connection string: unknown key at position ${start}.${didYouMean(key, known)}`, {
        hint: 'A value that contains ; or = or a quote must be in double quotes, with each double quote doubled.',
      });
    }
    const value = readValue(shown);
    if (repeated === 'error' && entries.has(key)) {
      throw new ConfigurationError(`Connection string: ${shown} occurs twice.`, { hint: 'Remove one of the two.' });
    }
    entries.set(key, value);
  }
  return entries;

  function readKey(): string {
    const start = at;
    let key = '';
    for (; at < text.length; at += 1) {
      if (text[at] === '=') {
        if (text[at + 1] !== '=') break;
        at += 1;
      }
      key += text[at];
    }
    key = key.trim().replace(/\s+/g, ' ').toLowerCase();
    if (at >= text.length || key === '' || key.includes(';')) {
      throw new ConfigurationError(`Connection string: 'key=value' expected at position ${start}.`);
    }
    at += 1;
    return key;
  }

  function readValue(shown: string): string {
    while (/[^\S\n]/.test(text[at] ?? '')) at += 1;
    const quote = text[at];
    if (quote === '{') {
      const braced = readBraces();
      if (braced !== undefined) return braced;
    }
    if (quote !== '"' && quote !== "'") {
      const end = text.indexOf(';', at);
      const value = text.slice(at, end === -1 ? undefined : end).trim();
      at = end === -1 ? text.length : end + 1;
      return value;
    }
    let value = '';
    for (at += 1; at < text.length; at += 1) {
      if (text[at] === quote) {
        if (text[at + 1] !== quote) break;
        at += 1;
      }
      value += text[at];
    }
    if (at >= text.length) throw new ConfigurationError(`Connection string: the quote of ${shown} is never closed.`);
    at += 1;
    while (/\s/.test(text[at] ?? '')) at += 1;
    if (at < text.length && text[at] !== ';') {
      throw new ConfigurationError(`Connection string: ';' expected after the quoted value of ${shown}.`);
    }
    at += 1;
    return value;
  }

  /** `{value}` as mssql and ODBC read it, with `}` doubled inside. Braces that do not enclose the value belong to it. */
  function readBraces(): string | undefined {
    let value = '';
    for (let next = at + 1; next < text.length; next += 1) {
      if (text[next] === '}') {
        if (text[next + 1] !== '}') {
          const rest = /^[^\S\n]{0,100}(;|$)/.exec(text.slice(next + 1, next + 102));
          if (rest === null) return undefined;
          at = next + 1 + rest[0].length;
          return value;
        }
        next += 1;
      }
      value += text[next];
    }
    return undefined;
  }
}

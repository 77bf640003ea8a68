import { ConfigurationError } from '../../errors.js';

/**
 * Splits a connection string by the ADO.NET grammar (SqlConnection.ConnectionString; OLE DB init string syntax):
 * `key=value;key=value`, keys case-insensitive, `==` in a key is `=`, values in single or double quotes with the quote
 * doubled inside. Keys come back in lower case with single spaces.
 *
 * @param repeated what a repeated key does: SqlClient takes the last, AzureServiceTokenProvider refuses
 * @throws ConfigurationError naming the position or key, never quoting a value
 */
export function parseConnectionString(text: string, repeated: 'last' | 'error' = 'last'): Map<string, string> {
  const entries = new Map<string, string>();
  let at = 0;
  while (at < text.length) {
    if (text[at] === ';' || /\s/.test(text[at] ?? '')) {
      at += 1;
      continue;
    }
    const key = readKey();
    const value = readValue(key);
    if (repeated === 'error' && entries.has(key)) {
      throw new ConfigurationError(`Connection string: the key '${key}' is given twice.`, {
        hint: 'Leave one of them.',
      });
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

  function readValue(key: string): string {
    while (/[^\S\n]/.test(text[at] ?? '')) at += 1;
    const quote = text[at];
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
    if (at >= text.length) throw new ConfigurationError(`Connection string: the quote of '${key}' is never closed.`);
    at += 1;
    while (/\s/.test(text[at] ?? '')) at += 1;
    if (at < text.length && text[at] !== ';') {
      throw new ConfigurationError(`Connection string: ';' expected after the quoted value of '${key}'.`);
    }
    at += 1;
    return value;
  }
}

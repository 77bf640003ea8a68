import { subscribe } from 'node:diagnostics_channel';

/**
 * Prints events as readable lines on stderr if `DEBUG` selects them, like the `debug` package: names separated by
 * commas or blanks, `*` for anything, a leading `-` to exclude.
 *
 * `DEBUG=mssql-token-pool:*,-mssql-token-pool:check*` prints
 * `2026-01-31T09:00:00.000Z mssql-token-pool:connection:opened pool=db/app#1 connection=3 duration=31ms`.
 */
export function printEvents(
  debug: string,
  prefix: string,
  names: readonly string[],
  write: (line: string) => void = (line) => process.stderr.write(line),
): void {
  const wanted = wantedBy(debug);
  for (const name of names) {
    const channel = prefix + name;
    if (!wanted(channel)) continue;
    subscribe(channel, (payload) => write(`${new Date().toISOString()} ${channel}${words(payload as object)}\n`));
  }
}

function wantedBy(debug: string): (name: string) => boolean {
  const patterns = debug.split(/[\s,]+/).filter((word) => word !== '');
  const matching = (word: string) => new RegExp(`^${word.split('*').map(escaped).join('.*')}$`);
  const included = patterns.filter((word) => !word.startsWith('-')).map(matching);
  const excluded = patterns.filter((word) => word.startsWith('-')).map((word) => matching(word.slice(1)));
  return (name) => included.some((each) => each.test(name)) && !excluded.some((each) => each.test(name));
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|-]/g, '\\$&');
}

/** Durations with their unit, times in ISO 8601, errors by code and message. */
function words(payload: object): string {
  let line = '';
  for (const [key, value] of Object.entries(payload)) {
    if (value === undefined || typeof value === 'function') continue;
    if (value instanceof Error) line += ` ${key}=${(value as { code?: string }).code ?? value.name} "${value.message}"`;
    else if (key.endsWith('Ms')) line += ` ${key.slice(0, -2)}=${Math.round(value)}ms`;
    else if (/expiresOn$/i.test(key)) line += ` ${key}=${new Date(value).toISOString()}`;
    else line += ` ${key}=${value}`;
  }
  return line;
}

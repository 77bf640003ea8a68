/** Address and port of `--listen`: `1433`, `0.0.0.0:1433`, `[::]:1433`. */
export function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]:|([^:]+):)?(\d+)$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new UsageError('--listen: give a port, or an address and a port');
  return { host: match[1] ?? match[2] ?? '127.0.0.1', port };
}

/** A port on which to listen; 0 is any free one. */
export function parsePort(option: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  throw new UsageError(`${option}: give a port from 0 to 65535`);
}

/** Server and port of `--upstream`: `localhost`, `localhost:1433`, `[::1]:1433`. */
export function parseServer(text: string): { server: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:,]+))(?:[:,](\d+))?$/.exec(text);
  const port = Number(match?.[3] ?? 1433);
  if (match === null || port > 65_535) {
    throw new UsageError('--upstream: give a server, or a server and a port');
  }
  return { server: match[1] ?? match[2] ?? '', port };
}

/** A mistake in the command line; the message says how to fix it. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** Reads a secret from the named environment variable, so that it does not appear in the list of processes. */
export function fromEnvironment(option: string, name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new UsageError(`${option}: there is no environment variable of that name`);
  if (value === '') throw new UsageError(`${option}: the environment variable of that name is empty`);
  return value;
}

/** A number of seconds: at least 0, or more than 0. */
export function parseSeconds(option: string, text: string, least: 'zero' | 'more'): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (least === 'zero' ? value >= 0 && value < Number.POSITIVE_INFINITY : value > 0) return value;
  throw new UsageError(`${option}: give a number of seconds${least === 'zero' ? '' : ' greater than 0'}`);
}

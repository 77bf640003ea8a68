import { channel, type TracingChannel, tracingChannel } from 'node:diagnostics_channel';
import type { Connection } from 'tedious';
import { require } from '../require.js';

/**
 * The channels that mssql publishes about its pool; here our pool publishes them. mssql itself still publishes
 * `mssql:pool:acquire`, `mssql:connection:acquire`, `:release`, and everything about queries.
 */
const created = channel('mssql:connection:create');
const destroyed = channel('mssql:connection:destroy');
const closed = channel('mssql:pool:close');
const connecting: TracingChannel<object> = tracingChannel('mssql:connect');

/**
 * mssql numbers its objects in a WeakMap inside lib/utils. Our connections take their number from there, so that one
 * connection has one id on all of mssql's channels. Without it (the file is not part of mssql's public API), events
 * are still published, with `undefined` for ids.
 */
interface Numbers {
  get(object: object): number | undefined;
  add(object: object, type: 'Connection'): void;
}

const numbers: Numbers = loadNumbers() ?? { get: () => undefined, add: () => {} };

function loadNumbers(): Numbers | undefined {
  try {
    return (require('mssql/lib/utils') as { IDS?: Numbers }).IDS;
  } catch {
    return undefined;
  }
}

/** Once per connection, because the same connection may be passed again. */
export function numberConnection(connection: Connection): void {
  if (numbers.get(connection) === undefined) numbers.add(connection, 'Connection');
}

export function publishCreated(
  pool: object,
  connection: Connection,
  server: string,
  database: string | undefined,
): void {
  if (!created.hasSubscribers) return;
  created.publish({ connectionId: numbers.get(connection), poolId: numbers.get(pool), server, database });
}

export function publishDestroyed(pool: object, connection: Connection): void {
  if (!destroyed.hasSubscribers) return;
  destroyed.publish({ connectionId: numbers.get(connection), poolId: numbers.get(pool) });
}

export function publishClosed(pool: object, error?: unknown): void {
  if (!closed.hasSubscribers) return;
  const poolId = numbers.get(pool);
  closed.publish(error === undefined ? { poolId, reason: 'closed' } : { poolId, reason: 'error', error });
}

/** Runs `connect` as a trace of `mssql:connect`. */
export function traceConnect<T>(pool: object, context: () => object, connect: () => Promise<T>): Promise<T> {
  // Not `connecting.hasSubscribers`: in Node 20 only the single channels have it.
  const { start, end, asyncStart, asyncEnd, error } = connecting;
  if (![start, end, asyncStart, asyncEnd, error].some((part) => part.hasSubscribers)) return connect();
  return connecting.tracePromise(connect, { ...context(), poolId: numbers.get(pool) });
}

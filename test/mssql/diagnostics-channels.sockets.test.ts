import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect, test } from 'vitest';
import sql from '../../src/mssql/index.js';
import { stock, useEmulators } from './three-ways.js';

const emulators = useEmulators();
type Event = { name: string; message: Record<string, unknown> };

const POINTS = [
  'mssql:connection:create',
  'mssql:connection:acquire',
  'mssql:connection:release',
  'mssql:connection:destroy',
  'mssql:pool:close',
];
const TRACES = ['mssql:connect', 'mssql:pool:acquire', 'mssql:query'];

/** What mssql's channels say during the life of a pool with one query. */
async function events(ConnectionPool: typeof stock.ConnectionPool): Promise<Event[]> {
  const seen: Event[] = [];
  const names = [...POINTS, ...TRACES.flatMap((name) => [`tracing:${name}:start`, `tracing:${name}:asyncEnd`])];
  const listeners = names.map((name) => {
    const listener = (message: unknown) => seen.push({ name, message: { ...(message as object) } });
    subscribe(name, listener);
    return () => unsubscribe(name, listener);
  });
  try {
    const pool = await new ConnectionPool(emulators.server.config({ database: 'shop' }) as never).connect();
    await pool.query('SELECT 1');
    await pool.close();
    await expect.poll(() => seen.some(({ name }) => name === 'mssql:pool:close')).toBe(true);
  } finally {
    for (const stop of listeners) stop();
  }
  return seen;
}

test("mssql's channels carry the same events, less those of the probe connection", async () => {
  const theirs = await events(stock.ConnectionPool);
  const ours = await events(sql.ConnectionPool as never);

  const names = (list: Event[]) => [...new Set(list.map(({ name }) => name))].sort();
  expect(names(ours)).toEqual(names(theirs));
  for (const { name, message } of ours) {
    const like = theirs.find((event) => event.name === name)?.message as object;
    expect(Object.keys(message).sort(), name).toEqual(Object.keys(like).sort());
  }
  const count = (list: Event[], name: string) => list.filter((event) => event.name === name).length;
  expect(count(theirs, 'mssql:connection:create')).toBe(2);
  expect(count(ours, 'mssql:connection:create')).toBe(1);
  expect(count(ours, 'mssql:connection:destroy')).toBe(1);
});

test('ids are the same on all of them', async () => {
  const ours = await events(sql.ConnectionPool as never);
  const ids = (key: string) => new Set(ours.flatMap(({ message }) => (key in message ? [message[key]] : [])));
  expect([...ids('poolId')]).toEqual([expect.any(Number)]);
  expect([...ids('connectionId')]).toEqual([expect.any(Number)]);
});

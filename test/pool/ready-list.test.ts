import { expect, test } from 'vitest';
import { PooledConnection } from '../../src/pool/pooled-connection.js';
import { ReadyList } from '../../src/pool/ready-list.js';

function connection(lastUsedAt = 0): PooledConnection {
  const pooled = new PooledConnection({});
  pooled.lastUsedAt = lastUsedAt;
  return pooled;
}

/** From the top. */
function times(list: ReadyList): number[] {
  return [...list].map(({ lastUsedAt }) => lastUsedAt);
}

test('the connection that was returned last is handed out first', () => {
  const list = new ReadyList();
  const [first, second] = [connection(), connection()];
  expect([list.isEmpty, list.pop()]).toEqual([true, undefined]);
  list.push(first);
  list.push(second);
  expect(list.top).toBe(second);
  expect([list.pop(), list.pop(), list.pop()]).toEqual([second, first, undefined]);
  expect(list.isEmpty).toBe(true);
});

test.each([0, 1, 2])('a connection is removed wherever it is (%i), and only once', (position) => {
  const list = new ReadyList();
  const all = [connection(0), connection(1), connection(2)];
  for (const each of all) list.push(each);
  const taken = all[position] as PooledConnection;
  expect(list.has(taken)).toBe(true);
  list.remove(taken);
  list.remove(taken);
  expect(list.has(taken)).toBe(false);
  expect(times(list)).toEqual([2, 1, 0].filter((time) => time !== position));
  expect(list.pop()?.lastUsedAt).toBe(position === 2 ? 1 : 2);
  expect(list.pop()?.lastUsedAt).toBe(position === 0 ? 1 : 0);
  expect(list.pop()).toBeUndefined();
});

test.each([0, 1, 2])('a successor takes the position (%i) of the connection that it replaces', (position) => {
  const list = new ReadyList();
  const all = [connection(0), connection(1), connection(2)];
  for (const each of all) list.push(each);
  list.replace(all[position] as PooledConnection, connection(9));
  expect(times(list)).toEqual([2, 1, 0].map((time) => (time === position ? 9 : time)));
  expect([list.pop(), list.pop(), list.pop(), list.pop()].map((each) => each?.lastUsedAt)).toEqual([
    ...[2, 1, 0].map((time) => (time === position ? 9 : time)),
    undefined,
  ]);
});

test('a connection that was not used returns to its position in the order of the latest use', () => {
  const list = new ReadyList();
  for (const time of [1, 3, 5]) list.push(connection(time));
  list.insert(connection(4));
  list.insert(connection(0));
  list.insert(connection(6));
  expect(times(list)).toEqual([6, 5, 4, 3, 1, 0]);
  const empty = new ReadyList();
  empty.insert(connection(7));
  expect(times(empty)).toEqual([7]);
  const all = Array.from({ length: 6 }, () => list.pop()?.lastUsedAt);
  expect(all).toEqual([6, 5, 4, 3, 1, 0]);
  expect(list.isEmpty).toBe(true);
});

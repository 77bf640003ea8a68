import { afterEach, beforeEach, expect, test } from 'vitest';
import { isPastLimits } from '../../src/pool/connection-check.js';
import { type ConnectionState, PooledConnection } from '../../src/pool/pooled-connection.js';
import { auditTransitions, PooledConnections } from '../../src/pool/pooled-connections.js';

beforeEach(() => auditTransitions(true));
afterEach(() => auditTransitions(false));

const STATES: ConnectionState[] = ['connecting', 'idle', 'borrowed', 'closed'];
const WAYS: Record<ConnectionState, ConnectionState[]> = {
  connecting: [],
  idle: ['idle'],
  borrowed: ['idle', 'borrowed'],
  closed: ['closed'],
};
const ALLOWED = [
  'connecting>idle',
  'connecting>closed',
  'idle>borrowed',
  'idle>closed',
  'borrowed>idle',
  'borrowed>closed',
];

test.each(STATES.flatMap((from) => STATES.map((to) => [from, to] as const)))('from %s to %s', (from, to) => {
  const connections = new PooledConnections();
  const pooled = new PooledConnection({});
  connections.add(pooled);
  for (const state of WAYS[from]) connections.move(pooled, state);
  if (ALLOWED.includes(`${from}>${to}`)) {
    connections.move(pooled, to);
    expect(pooled.state).toBe(to);
    if (to !== 'closed') expect(connections[to]).toBe(1);
    expect(connections.isEmpty).toBe(to === 'closed');
  } else expect(() => connections.move(pooled, to)).toThrow(`cannot go from '${from}' to '${to}'`);
});

test('counters that do not match the states are detected at the next transition', () => {
  const connections = new PooledConnections();
  const [one, other] = [new PooledConnection({}), new PooledConnection({})];
  for (const pooled of [one, other]) connections.add(pooled);
  one.state = 'idle';
  expect(() => connections.move(other, 'idle')).toThrow(/counts 1 connecting, but 0 are/);
});

test('a connection stands by or is checked only while it is reserved', () => {
  const old = new PooledConnection({});
  const states = [{ reserved: false }, { reserved: true }, { reserved: true, awaitsSuccessor: true }].flatMap((flags) =>
    [undefined, old].map((successorOf) => {
      const pooled = Object.assign(new PooledConnection({ successorOf }), flags);
      return [pooled.standsBy, pooled.isChecked];
    }),
  );
  expect(states).toEqual([
    [false, false],
    [false, false],
    [false, true],
    [true, false],
    [false, false],
    [true, false],
  ]);
});

test('a connection keeps the process alive through its socket, if it has one', () => {
  const calls: string[] = [];
  const socket = { ref: () => calls.push('ref'), unref: () => calls.push('unref') };
  for (const connection of [{ socket }, {}]) {
    const pooled = Object.assign(new PooledConnection({}), { session: { connection } as never });
    expect(pooled.holdsProcess).toBe(true);
    pooled.holdProcess(false);
    expect(pooled.holdsProcess).toBe(false);
    pooled.holdProcess(true);
    expect(pooled.holdsProcess).toBe(true);
  }
  expect(calls).toEqual(['unref', 'ref']);
});

test('a connection notifies its owner, if it has one', () => {
  const seen: unknown[] = [];
  const home = {
    ended: (...args: unknown[]) => seen.push(['ended', ...args]),
    becameUnusable: (...args: unknown[]) => seen.push(['becameUnusable', ...args]),
    wasReset: (...args: unknown[]) => seen.push(['wasReset', ...args]),
  };
  for (const pooled of [new PooledConnection({}, home as never), new PooledConnection({})]) {
    pooled.ended();
    pooled.becameUnusable('broken');
    pooled.wasReset(true);
    if (pooled.home !== undefined) {
      expect(seen).toEqual([
        ['ended', pooled],
        ['becameUnusable', pooled, 'broken'],
        ['wasReset', pooled, true],
      ]);
    }
  }
  expect(seen).toHaveLength(3);
});

test('a connection that has not logged in has no session to use', () => {
  const pooled = new PooledConnection({});
  expect(() => pooled.live).toThrow('This connection has not logged in yet.');
  expect(() => pooled.connection).toThrow('This connection has not logged in yet.');
});

test('a connection that is past its limits may be replaced by one that is open, a broken one may not', () => {
  expect((['token-expiry', 'max-age', 'credential-replaced'] as const).map(isPastLimits)).toEqual([true, true, true]);
  expect(([undefined, 'broken', 'idle', 'failover'] as const).map(isPastLimits)).toEqual([false, false, false, false]);
});

import { afterEach, beforeEach, expect, test } from 'vitest';
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

test('counters that do not fit the states are noticed at the next transition', () => {
  const connections = new PooledConnections();
  const [one, other] = [new PooledConnection({}), new PooledConnection({})];
  for (const pooled of [one, other]) connections.add(pooled);
  one.state = 'idle';
  expect(() => connections.move(other, 'idle')).toThrow(/counts 1 connecting, but 0 are/);
});

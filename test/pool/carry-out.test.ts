import { expect, test, vi } from 'vitest';
import { carryOut } from '../../src/pool/carry-out.js';
import { PooledConnection } from '../../src/pool/pooled-connection.js';

const nothing = { evict: [], renew: [], dueOnReturn: [], unref: [], open: 0, nextAt: 0 };

/** The connections of a pool in which evictions change what the plan was made for. */
function connections({ size, onClose }: { size: number; onClose: () => void }) {
  return { size, dials: { size: 0 }, close: vi.fn(onClose), renew: vi.fn(), open: vi.fn() };
}

function inState(state: PooledConnection['state']): PooledConnection {
  const pooled = new PooledConnection({});
  pooled.state = state;
  return pooled;
}

const evictOne = () => [{ connection: inState('idle'), reason: 'replaced' as never }];

test('opens only what is still missing for min, so that the pool does not exceed max', () => {
  const pool = connections({
    size: 0,
    onClose() {
      // A listener has borrowed.
      pool.dials.size = 1;
    },
  });
  pool.open.mockImplementation(() => {
    pool.dials.size += 1;
  });
  carryOut({ ...nothing, evict: evictOne(), open: 2 }, pool, 2, () => true);
  expect(pool.open).toHaveBeenCalledTimes(1);
});

test('opens and renews nothing once a listener has suspended or closed the pool', () => {
  let mayOpen = true;
  const pool = connections({
    size: 0,
    onClose() {
      mayOpen = false;
    },
  });
  carryOut({ ...nothing, evict: evictOne(), renew: [inState('idle')], open: 2 }, pool, 2, () => mayOpen);
  expect(pool.close).toHaveBeenCalledTimes(1);
  expect([pool.open.mock.calls.length, pool.renew.mock.calls.length]).toEqual([0, 0]);
});

test('closes no connection as idle if a listener has closed others and only min are left', () => {
  const pool = connections({
    size: 3,
    onClose() {
      pool.size = 1;
    },
  });
  const idle = [inState('idle'), inState('idle')].map((connection) => ({ connection, reason: 'idle' as const }));
  carryOut({ ...nothing, evict: idle }, pool, 1, () => true);
  expect(pool.close).toHaveBeenCalledTimes(1);
});

test('a connection that was to be renewed and is borrowed meanwhile is renewed when it is returned', () => {
  const pool = connections({ size: 1, onClose: () => {} });
  const borrowed = inState('borrowed');
  carryOut({ ...nothing, renew: [borrowed] }, pool, 0, () => true);
  expect([borrowed.dueOnReturn, pool.renew.mock.calls.length]).toEqual([true, 0]);
});

test('a connection that already has a successor, or is being tested for a caller, gets no other', () => {
  const pool = connections({ size: 2, onClose: () => {} });
  const [renewed, tested] = [inState('idle'), inState('idle')];
  renewed.successor = inState('connecting');
  tested.reserved = true;
  carryOut({ ...nothing, renew: [renewed, tested] }, pool, 0, () => true);
  expect(pool.renew).not.toHaveBeenCalled();
});

test('a connection that is returned meanwhile is not marked as due on its return', () => {
  const pool = connections({ size: 1, onClose: () => {} });
  const returned = inState('idle');
  carryOut({ ...nothing, dueOnReturn: [returned] }, pool, 0, () => true);
  expect(returned.dueOnReturn).toBe(false);
});

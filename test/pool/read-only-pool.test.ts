import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import type { TokenPool } from '../../src/index.js';
import { driven, drivenWorld, HOUR, outcome, pass, SECOND, settled } from '../support/driven-world.js';

const world = drivenWorld();

type Source = Pick<TokenPool, 'acquire' | 'release' | 'destroy'>;

/** A primary and its replica: `max` connections together, which stay open while they are idle. */
function aPair(max: number, readOnly: object | true = true): { pool: TokenPool; replica: TokenPool['readOnly'] } {
  const pool = world.aPool({ max, overlap: 0, idleTimeoutMillis: HOUR }, { readOnly });
  return { pool, replica: pool.readOnly };
}

async function borrow(source: Source, count = 1): Promise<Connection[]> {
  const acquired = outcome(Promise.all(Array.from({ length: count }, () => source.acquire())));
  await pass(SECOND);
  return settled(acquired);
}

function returnAll(source: Source, connections: Connection[]): void {
  for (const connection of connections) source.release(connection);
}

const isReplicas = (connection: Connection): boolean => driven(connection).config.options?.readOnlyIntent === true;

test('an idle connection of either pool makes way for a caller of the other, as often as it takes', async () => {
  const { pool, replica } = aPair(2);
  for (let i = 0; i < 3; i += 1) {
    for (const [source, other] of [
      [pool, replica],
      [replica, pool],
    ] as const) {
      const borrowed = await borrow(source, 2);
      expect(borrowed.map(isReplicas)).toEqual(source === pool ? [false, false] : [true, true]);
      expect([source.stats.size, other.stats.size]).toEqual([2, 0]);
      returnAll(source, borrowed);
    }
  }
  expect(world.server.mostOpen).toBeLessThanOrEqual(2);
});

test('one idle connection makes way for each caller, and no more', async () => {
  const { pool, replica } = aPair(3);
  returnAll(pool, await borrow(pool, 3));
  const [first] = await borrow(replica);
  expect([pool.stats.size, replica.stats.size]).toEqual([2, 1]);
  returnAll(replica, [first as Connection]);
  await pass(SECOND);
  expect([pool.stats.size, replica.stats.size]).toEqual([2, 1]);
});

test('a caller waits for a connection that can make way, and gets one soon after it is returned', async () => {
  const { pool, replica } = aPair(1);
  const [borrowed] = await borrow(pool);
  const waiting = outcome(replica.acquire());
  await pass(5 * SECOND);
  expect(waiting.at).toBeUndefined();
  pool.release(borrowed as Connection);
  const returnedAt = performance.now();
  await pass(SECOND);
  expect(isReplicas(settled(waiting))).toBe(true);
  expect((waiting.at ?? 0) - returnedAt).toBeLessThanOrEqual(100 + world.server.loginMs);
  replica.release(settled(waiting));
});

test('a connection to the replica can be destroyed, and use() works with it', async () => {
  const { pool, replica } = aPair(2);
  const [connection] = await borrow(replica);
  replica.destroy(connection as Connection);
  await pass(SECOND);
  expect(driven(connection).closed).toBe(true);
  const used = outcome(replica.use((each) => isReplicas(each)));
  await pass(SECOND);
  expect(settled(used)).toBe(true);
  expect(replica.stats).toMatchObject({ size: 1, borrowed: 0, available: 1, logins: 2 });
  expect(pool.stats.logins).toBe(0);
});

// ---- fallback ----

const FALLBACK = { fallback: true };
const detours = () =>
  world.events.flatMap(({ name, payload }) =>
    name === 'pool:fallback' ? [(payload as { detourMs: number }).detourMs] : [],
  );

/** The server is down for new connections; the primary has some that are open. */
async function onlyOldConnections(pool: TokenPool, count: number): Promise<void> {
  returnAll(pool, await borrow(pool, count));
  world.server.isDown = true;
}

async function read(replica: TokenPool['readOnly'], ms = SECOND): Promise<boolean> {
  const used = outcome(replica.use((connection) => isReplicas(connection)));
  await pass(ms);
  return settled(used);
}

test('as long as the replica cannot be used, the detours become longer: from 5 s to a minute', async () => {
  const { pool, replica } = aPair(2, FALLBACK);
  await onlyOldConnections(pool, 1);
  for (const ms of [5, 10, 20, 40, 60, 60]) {
    const before = detours().length;
    expect(await read(replica)).toBe(false);
    expect(detours().slice(before)).toEqual([ms * SECOND]);
    expect(replica.health().status).not.toBe('ok');
    await pass((ms - 2) * SECOND);
    // The detour is not over yet.
    expect(await read(replica, 0)).toBe(false);
    expect(detours()).toHaveLength(before + 1);
    await pass(2 * SECOND);
  }
  world.server.isDown = false;
  await pass(60 * SECOND);
  expect(await read(replica)).toBe(true);
  expect(replica.health().status).toBe('ok');
  // It has worked in between: the next detour is a short one again.
  for (const each of [...world.server.connections]) if (isReplicas(each as never)) each.end();
  await pass(SECOND);
  world.server.isDown = true;
  expect(await read(replica)).toBe(false);
  expect(detours().at(-1)).toBe(5 * SECOND);
});

test('during a detour the replica is degraded, although its server works again', async () => {
  const { pool, replica } = aPair(2, FALLBACK);
  await onlyOldConnections(pool, 1);
  await read(replica);
  world.server.isDown = false;
  const opened = outcome(replica.ready());
  await pass(2 * SECOND);
  settled(opened);
  expect(replica.health().status).toBe('degraded');
  await pass(5 * SECOND);
  expect(replica.health().status).toBe('ok');
});

test('a caller waits no longer for both servers than for one', async () => {
  const { replica } = aPair(2, FALLBACK);
  world.server.loginMs = 120 * SECOND;
  const startedAt = performance.now();
  const waiting = outcome(replica.acquire());
  await pass(60 * SECOND);
  expect(() => settled(waiting)).toThrow(expect.objectContaining({ code: 'ERR_ACQUIRE_TIMEOUT' }));
  expect((waiting.at ?? 0) - startedAt).toBe(30 * SECOND);
});

test('a suspended pool makes no detours', async () => {
  const { pool, replica } = aPair(2, FALLBACK);
  world.server.loginMs = 40 * SECOND;
  const waiting = outcome(replica.acquire());
  await pass(SECOND);
  pool.suspend();
  await pass(20 * SECOND);
  expect([detours(), waiting.at]).toEqual([[], undefined]);
  pool.resume();
  await pass(30 * SECOND);
});

test('a replica whose logins are refused between two attempts is also abandoned after half the time', async () => {
  const { pool, replica } = aPair(2, FALLBACK);
  returnAll(pool, await borrow(pool, 1));
  world.server.refusals = Array.from({ length: 50 }, () => ({
    number: 40613,
    state: 1,
    class: 14,
    message: 'Database is not currently available.',
  }));
  const waiting = outcome(replica.acquire());
  await pass(16 * SECOND);
  expect(isReplicas(settled(waiting))).toBe(false);
  replica.release(settled(waiting));
  world.server.refusals = [];
});

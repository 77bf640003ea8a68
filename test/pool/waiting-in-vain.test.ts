import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { AcquireTimeoutError } from '../../src/errors.js';
import {
  driven,
  drivenWorld,
  HOUR,
  MINUTE,
  outcome,
  pass,
  SECOND,
  settled,
  sqlLogin,
} from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, borrow, opened } = world;

const BUSY = { number: 40613, state: 1, class: 20, message: 'Database is not currently available.' };

/** Every reason in a chain of causes. */
function chain(error: unknown): unknown[] {
  const seen: unknown[] = [];
  for (let each = error as Error | undefined; each instanceof Error; each = each.cause as Error | undefined)
    seen.push(each);
  return seen;
}

test('an acquire timeout has the failure that is still being retried as its cause', async () => {
  const pool = aPool({ max: 1, acquireTimeoutMillis: 3 * SECOND }, sqlLogin);
  world.server.refusals = Array.from({ length: 50 }, () => BUSY);
  const waiting = outcome(pool.acquire());
  await pass(3 * SECOND);
  expect(waiting.error).toBeInstanceOf(AcquireTimeoutError);
  expect(chain(waiting.error)).toContainEqual(expect.objectContaining({ number: 40613 }));
  expect((waiting.error as AcquireTimeoutError).hint).not.toMatch(/Return connections/);
  // The next attempt is due in 2 s: nothing is in progress.
  expect((waiting.error as AcquireTimeoutError).message).not.toMatch(/being opened/);
  expect(pool.stats.opening).toBe(0);
});

test.each(['server', 'identity provider'])(
  'while the %s hangs, it says what is being opened and since when',
  async (which) => {
    const pool = aPool({ max: 1, acquireTimeoutMillis: 3 * SECOND });
    if (which === 'server') world.server.loginMs = MINUTE;
    else world.provider.sticky = 'hang';
    const waiting = outcome(pool.acquire());
    await pass(3 * SECOND);
    expect(waiting.error).toMatchObject({
      message: expect.stringContaining('1 being opened for up to 3.0 s'),
      hint: expect.stringContaining('the server or the identity provider'),
    });
    // The reason is the answer that is missing.
    expect((waiting.error as Error).cause).toEqual(
      which === 'server'
        ? undefined
        : expect.objectContaining({
            code: 'ERR_TOKEN_TIMEOUT',
            message: 'The request for a token has not been answered for 3.0 s.',
          }),
    );
    expect(pool.health()).toMatchObject({
      status: 'down',
      reasons: [
        which === 'server'
          ? { code: 'logins-hang', message: 'A login has not ended for 3.0 s.' }
          : { code: 'no-token', message: expect.stringContaining('has not been answered for 3.0 s') },
      ],
    });
  },
);

test('a caller whose time ends before the next attempt is rejected at once, with the cause', async () => {
  const pool = aPool({ max: 2, acquireTimeoutMillis: 3 * SECOND, createTimeoutMillis: 30 * SECOND }, sqlLogin);
  world.server.refusals = Array.from({ length: 50 }, () => BUSY);
  const first = outcome(pool.acquire());
  await pass(SECOND);
  const startedAt = performance.now();
  const second = outcome(pool.acquire());
  await pass(0);
  expect(second.at).toBe(startedAt);
  expect(chain(second.error)).toContainEqual(expect.objectContaining({ number: 40613 }));
  await pass(2 * SECOND);
  expect(first.error).toBeInstanceOf(AcquireTimeoutError);
});

test('while a connection is borrowed, a caller waits for its return', async () => {
  const pool = aPool({ max: 2, acquireTimeoutMillis: 3 * SECOND }, sqlLogin);
  const [borrowed] = (await borrow(pool, 1)) as [Connection];
  world.server.refusals = Array.from({ length: 50 }, () => BUSY);
  const first = outcome(pool.acquire());
  await pass(SECOND);
  const second = outcome(pool.acquire());
  await pass(0);
  expect(second.at).toBeUndefined();
  pool.release(borrowed);
  await pass(0);
  pool.release(settled(first));
  await pass(0);
  pool.release(settled(second));
});

test('renewals do not restart the idle clock: with tokens of 4 s the pool is empty after idleTimeoutMillis', async () => {
  world.provider.lifeMs = 4 * SECOND;
  const pool = aPool({ max: 2, idleTimeoutMillis: 10 * SECOND });
  await opened(pool, 1);
  await pass(9 * SECOND);
  expect(pool.stats).toMatchObject({ size: 1 });
  expect(pool.stats.renewals).toBeGreaterThan(1);
  await pass(SECOND + 100);
  expect(pool.stats).toMatchObject({ size: 0, evictions: { idle: 1 } });
});

test.each([false, true])(
  'a wall clock set back by an hour lengthens no token (strictExpiry: %s)',
  async (strictExpiry) => {
    const pool = aPool({ max: 1, min: 1, idleTimeoutMillis: 10 * HOUR }, { strictExpiry });
    await pass(MINUTE);
    const [old] = [...world.server.connections];
    world.clock.jump(-HOUR);
    await pass(60 * MINUTE);
    expect(driven(old as never).closed).toBe(true);
    expect(pool.stats).toMatchObject({ size: 1, logins: 2, renewals: 1 });
    world.provider.sticky = new Error('HTTP 503');
    await pass(70 * MINUTE);
    const late = outcome(pool.acquire());
    await pass(2 * SECOND);
    if (strictExpiry) expect(late.error).toMatchObject({ code: 'ERR_TOKEN_EXPIRED', cause: expect.any(Error) });
    else pool.release(settled(late));
  },
);

test.each([
  ['class 20', { number: 3624, state: 1, class: 20, message: 'Internal error.' }],
  ['596', { number: 596, state: 1, class: 16, message: 'The session is in the kill state.' }],
  ['6005', { number: 6005, state: 1, class: 14, message: 'SHUTDOWN is in progress.' }],
])('a SQL login whose session the server has ended is not handed out again: %s', async (_, message) => {
  const pool = aPool({ max: 1 }, sqlLogin);
  const [connection] = (await borrow(pool, 1)) as [Connection];
  driven(connection).emit('errorMessage', message);
  pool.release(connection);
  expect(driven(connection).closed).toBe(true);
  const [next] = (await borrow(pool, 1)) as [Connection];
  expect(next).not.toBe(connection);
  pool.release(next);
});

test('a connection that was handed over cannot be returned a second time by its previous borrower', async () => {
  const pool = aPool({ max: 1 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  const next = outcome(pool.acquire());
  pool.release(connection);
  expect(pool.isBorrowed(connection)).toBe(false);
  expect(() => pool.release(connection)).toThrow('not borrowed from this pool');
  await pass(0);
  expect(settled(next)).toBe(connection);
  expect(pool.isBorrowed(connection)).toBe(true);
  pool.release(connection);
});

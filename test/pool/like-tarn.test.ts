import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { AbortedError, PoolClosedError } from '../../src/errors.js';
import { tarnFacade } from '../../src/pool/tarn-facade.js';
import { drivenWorld, HOUR, outcome, pass, settled } from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, borrow } = world;

test('its figures are those of the pool', async () => {
  const tarn = tarnFacade(aPool({ max: 2 }));
  const figures = () => ({
    used: tarn.numUsed(),
    free: tarn.numFree(),
    acquires: tarn.numPendingAcquires(),
    creates: tarn.numPendingCreates(),
    validations: tarn.numPendingValidations(),
    empty: tarn.isEmpty(),
  });
  const none = { used: 0, free: 0, acquires: 0, creates: 0, validations: 0, empty: true };
  expect(figures()).toEqual(none);
  const acquired = [outcome(tarn.acquire().promise), outcome(tarn.acquire().promise)];
  expect(figures()).toMatchObject({ used: 0, acquires: 2, empty: false });
  await pass(1);
  expect(figures()).toEqual({ ...none, acquires: 2, creates: 2, empty: false });
  await pass(world.server.loginMs);
  expect(figures()).toEqual({ ...none, used: 2, empty: false });
  const [one, other] = acquired.map(settled) as [Connection, Connection];
  expect(tarn.release(one)).toBe(true);
  expect(figures()).toEqual({ ...none, used: 1, free: 1, empty: false });
  expect(tarn.release(other)).toBe(true);
  expect(tarn.release(other)).toBe(false);
});

test('a fault in a pool is not hidden as a connection that is not borrowed', () => {
  const pool = aPool();
  const failure = new TypeError('other');
  const tarn = tarnFacade({
    ...pool,
    release: () => {
      throw failure;
    },
  } as never);
  expect(() => tarn.release({} as never)).toThrow(failure);
});

test("a caller that gives up gets the calling library's error, and the connection stays in the pool", async () => {
  const pool = aPool({ max: 1 });
  const [borrowed] = (await borrow(pool, 1)) as [Connection];
  const tarn = tarnFacade(pool, { mapError: (error) => new RangeError('mapped', { cause: error }) });
  const pending = tarn.acquire();
  const impatient = outcome(pending.promise);
  pending.abort();
  await pass(0);
  expect(impatient.error).toBeInstanceOf(RangeError);
  const { cause } = impatient.error as Error;
  expect(cause).toBeInstanceOf(AbortedError);
  expect(cause).toMatchObject({ message: 'The caller gave up waiting for a connection.' });
  pool.release(borrowed);
  await pass(0);
  expect(pool.stats).toMatchObject({ size: 1, available: 1, borrowed: 0, pending: 0 });
});

test('without a mapping, errors are our own', async () => {
  const pool = aPool({ max: 1 });
  const closed = outcome(pool.close());
  await pass(1);
  settled(closed);
  await expect(tarnFacade(pool).acquire().promise).rejects.toBeInstanceOf(PoolClosedError);
});

test('destroy() waits for borrowed connections, for 10 s unless timeoutMs is set', async () => {
  const pool = aPool({ max: 1 });
  const [borrowed] = (await borrow(pool, 1)) as [Connection];
  const tarn = tarnFacade(pool);
  expect(tarn.destroyed).toBe(false);
  const closing = tarn.destroy();
  expect(tarn.destroyed).toBe(true);
  expect(tarn.destroy()).toBe(closing);
  const closed = outcome(closing);
  await pass(9_900);
  expect(closed.at).toBeUndefined();
  expect(tarn.release(borrowed)).toBe(true);
  await pass(1);
  settled(closed);
  expect(world.server.connections.size).toBe(0);
});

test('destroy({ timeoutMs }) closes borrowed connections after that time', async () => {
  const pool = aPool({ max: 1 });
  await borrow(pool, 1);
  const closed = outcome(tarnFacade(pool).destroy({ timeoutMs: HOUR }));
  await pass(HOUR - 1);
  expect(closed.at).toBeUndefined();
  await pass(100);
  settled(closed);
  expect(world.server.connections.size).toBe(0);
});

test('destroy() leaves a shared pool open', async () => {
  const pool = aPool({ max: 1 });
  const tarn = tarnFacade(pool, { shared: true });
  await tarn.destroy();
  expect(tarn.destroyed).toBe(true);
  const [connection] = (await borrow(pool, 1)) as [Connection];
  pool.release(connection);
});

import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { tarnFacade } from '../../src/pool/tarn-facade.js';
import { driven, drivenWorld, outcome, pass, SECOND, settled } from '../support/driven-world.js';

const world = drivenWorld();

async function connected(facade: ReturnType<typeof tarnFacade>): Promise<Connection> {
  const acquired = outcome(facade.acquire().promise);
  await pass(world.server.loginMs);
  return settled(acquired);
}

test('the numbers of tarn', async () => {
  const facade = tarnFacade(world.aPool({ max: 1 }));
  const numbers = () => ({
    used: facade.numUsed(),
    free: facade.numFree(),
    acquires: facade.numPendingAcquires(),
    creates: facade.numPendingCreates(),
    validations: facade.numPendingValidations(),
    isEmpty: facade.isEmpty(),
  });
  const none = { used: 0, free: 0, acquires: 0, creates: 0, validations: 0, isEmpty: true };
  expect(numbers()).toEqual(none);
  const first = outcome(facade.acquire().promise);
  await pass(1);
  expect(numbers()).toEqual({ ...none, acquires: 1, creates: 1, isEmpty: false });
  await pass(world.server.loginMs);
  const second = outcome(facade.acquire().promise);
  await pass(1);
  expect(numbers()).toEqual({ ...none, used: 1, acquires: 1, isEmpty: false });
  expect(facade.release(settled(first))).toBe(true);
  await pass(0);
  expect(facade.release(settled(second))).toBe(true);
  expect(numbers()).toEqual({ ...none, free: 1, isEmpty: false });
});

test('a connection that is not borrowed cannot be returned; any other error is passed on', async () => {
  const facade = tarnFacade(world.aPool());
  const connection = await connected(facade);
  expect([facade.release(connection), facade.release(connection)]).toEqual([true, false]);
  const failing = {
    release() {
      throw new TypeError('broken');
    },
  };
  expect(() => tarnFacade(failing as never).release(connection)).toThrow(TypeError);
});

test('a connection that is ready after its caller has given up goes to the pool', async () => {
  const pool = world.aPool({ max: 1 });
  const facade = tarnFacade(pool);
  const request = facade.acquire();
  const seen = outcome(request.promise);
  request.abort();
  await pass(SECOND);
  expect(seen.error).toMatchObject({ code: 'ERR_ABORTED', message: 'The caller gave up waiting for a connection.' });
  expect(pool.stats).toMatchObject({ borrowed: 0, available: 1 });
});

test('errors are those of the calling library', async () => {
  const mapError = (cause: unknown): Error => new TypeError('mapped', { cause });
  const facade = tarnFacade(world.aPool(), { mapError });
  world.server.refusals = [{ number: 18470, state: 1, class: 14, message: 'The account is disabled.' }];
  const refused = outcome(facade.acquire().promise);
  await pass(SECOND);
  const given = facade.acquire();
  const aborted = outcome(given.promise);
  given.abort();
  await pass(SECOND);
  for (const { error } of [refused, aborted]) expect(error).toBeInstanceOf(TypeError);
  expect((refused.error as Error).cause).toMatchObject({ number: 18470 });
});

test('destroy() closes the pool once; a shared pool stays open', async () => {
  const [own, shared] = [world.aPool(), world.aPool()];
  const facade = tarnFacade(own);
  expect(facade.destroyed).toBe(false);
  const borrowed = await connected(facade);
  const closed = facade.destroy({ timeoutMs: 3 * SECOND });
  expect(facade.destroy()).toBe(closed);
  expect(facade.destroyed).toBe(true);
  const over = outcome(closed);
  await pass(2 * SECOND);
  expect(over.at).toBeUndefined();
  await pass(2 * SECOND);
  settled(over);
  expect(driven(borrowed).closed).toBe(true);

  const front = tarnFacade(shared, { shared: true });
  const left = outcome(front.destroy());
  await pass(0);
  settled(left);
  expect(front.destroyed).toBe(true);
  shared.release(await connected(tarnFacade(shared)));
});

test('with leak detection, a request that the library makes later has the stack of the application', async () => {
  expect(tarnFacade(world.aPool()).stacks).toBeUndefined();
  const pool = world.aPool({ leakDetectionMillis: SECOND });
  const facade = tarnFacade(pool);
  const request = {};
  function orders(): void {
    facade.stacks?.note(request);
  }
  orders();
  const acquired = outcome(facade.stacks?.during(request, () => facade.acquire().promise) as Promise<Connection>);
  await pass(SECOND);
  expect(pool.stats.borrowers[0]?.holder).toMatch(/^orders /);
  facade.release(settled(acquired));
});

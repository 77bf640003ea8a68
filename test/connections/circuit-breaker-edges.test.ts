import { getEventListeners } from 'node:events';
import { expect, test, vi } from 'vitest';
import { CircuitBreaker } from '../../src/connections/circuit-breaker.js';
import { DialFailedError } from '../../src/connections/dial.js';
import type { LoginFailureKind } from '../../src/connections/login-failure.js';
import { ServerUnavailableError } from '../../src/errors.js';
import { clockPerTest } from '../support/clock-per-test.js';

const clock = clockPerTest();

function fails(kind: LoginFailureKind): () => Promise<never> {
  return async () => {
    throw new DialFailedError({ kind, error: new ServerUnavailableError(kind) }, undefined);
  };
}

/** A breaker whose server has asked for patience. */
async function shut(): Promise<CircuitBreaker> {
  const breaker = new CircuitBreaker();
  await breaker.run(fails('transient')).catch(() => undefined);
  return breaker;
}

test('the probe goes out when the pause is over, not before', async () => {
  const breaker = await shut();
  const attempt = vi.fn(async () => 'connected');
  const run = breaker.run(attempt);
  await clock.pass(4_999);
  expect([attempt.mock.calls.length, breaker.pauseMs]).toEqual([0, 1]);
  await clock.pass(1);
  expect([await run, breaker.pauseMs]).toEqual(['connected', 0]);
});

test('a pause that is over is nothing to wait for, however long ago it ended', async () => {
  const breaker = await shut();
  await clock.pass(60_000);
  expect(breaker.pauseMs).toBe(0);
  expect(await breaker.run(async () => 'connected')).toBe('connected');
  expect(clock.pending.size).toBe(0);
});

test.each(['credential', new Error('not of a dial')])(
  '%s says nothing about the server: the pause stays',
  async (why) => {
    const breaker = await shut();
    const attempt = async () => {
      if (why instanceof Error) throw why;
      return fails('credential')();
    };
    const run = breaker.run(attempt).catch((error: Error) => error.message);
    await clock.pass(5_000);
    expect(await run).toBe(why instanceof Error ? why.message : 'credential');
    // Still down: the next one is a probe, and its failure the second in a row.
    await breaker.run(fails('transient')).catch(() => undefined);
    expect(breaker.pauseMs).toBe(10_000);
  },
);

test('a failed probe is followed by another', async () => {
  const breaker = await shut();
  for (const pause of [10_000, 20_000]) {
    const run = breaker.run(fails('transient')).catch(() => undefined);
    await clock.passUntilIdle();
    await run;
    expect(breaker.pauseMs).toBe(pause);
  }
});

test('nothing listens to the end of the pool once the pause is over', async () => {
  const controller = new AbortController();
  const breaker = await shut();
  const run = breaker.run(async () => 'connected', controller.signal);
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
  await clock.passUntilIdle();
  await run;
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
});

test('a pool that is closed already is not waited for, and no timer is left', async () => {
  const controller = new AbortController();
  const breaker = await shut();
  const reason = new Error('closed');
  controller.abort(reason);
  await expect(breaker.run(async () => 'connected', controller.signal)).rejects.toBe(reason);
  expect(clock.pending.size).toBe(0);
});

test('after an answer of the server the next failure is the first again', async () => {
  const breaker = await shut();
  const run = breaker.run(fails('refused')).catch(() => undefined);
  await clock.passUntilIdle();
  await run;
  await breaker.run(fails('transient')).catch(() => undefined);
  expect(breaker.pauseMs).toBe(5_000);
});

test('the pause before a probe keeps no process alive', async () => {
  const breaker = await shut();
  const run = breaker.run(async () => 'connected');
  await clock.settle();
  expect([...clock.pending].map((timer) => timer.hasRef())).toEqual([false]);
  await clock.pass(5_000);
  expect(await run).toBe('connected');
});

test('when the next attempt may start is known during a pause, and 0 while the server works', async () => {
  expect(new CircuitBreaker().nextAttemptAt).toBe(0);
  const breaker = await shut();
  expect(breaker.nextAttemptAt).toBe(performance.now() + 5_000);
  const run = breaker.run(async () => 'connected');
  await clock.pass(5_000);
  await run;
  expect(breaker.nextAttemptAt).toBe(0);
});

test('a caller that gives up does not wait for the probe of another one', async () => {
  const breaker = await shut();
  const probe = breaker.run(async () => 'connected');
  const end = new AbortController();
  const waiting = breaker.run(async () => 'connected', end.signal).catch((error: unknown) => error);
  await clock.settle();
  end.abort(new Error('given up'));
  expect(await waiting).toMatchObject({ message: 'given up' });
  expect(await breaker.run(async () => 'connected', end.signal).catch((error: unknown) => error)).toMatchObject({
    message: 'given up',
  });
  await clock.pass(5_000);
  expect(await probe).toBe('connected');
  expect(getEventListeners(end.signal, 'abort')).toEqual([]);
});

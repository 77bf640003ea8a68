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

/** A breaker whose server has asked the client to wait. */
async function shut(): Promise<CircuitBreaker> {
  const breaker = new CircuitBreaker();
  await breaker.run(fails('transient')).catch(() => undefined);
  return breaker;
}

test('the probe starts when the pause is over, not before', async () => {
  const breaker = await shut();
  const attempt = vi.fn(async () => 'connected');
  const run = breaker.run(attempt);
  await clock.pass(4_999);
  expect([attempt.mock.calls.length, breaker.pauseMs]).toEqual([0, 1]);
  await clock.pass(1);
  expect([await run, breaker.pauseMs]).toEqual(['connected', 0]);
});

test('no one waits for a pause that is over, however long ago it ended', async () => {
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

test('a pool that is already closed is not waited for, and no timer is left', async () => {
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

/** A breaker of a server at which a session has ended right after its login, `count` times in a row, and the next login. */
async function onProbation(count: number): Promise<CircuitBreaker> {
  const breaker = new CircuitBreaker();
  for (let i = 2; i <= count; i += 1) breaker.sessionEndedEarly(i);
  const run = breaker.run(async () => 'connected');
  await clock.passUntilIdle();
  await run;
  return breaker;
}

/** Each attempt is made when the pause is over. */
async function failTimes(breaker: CircuitBreaker, times: number): Promise<void> {
  for (let i = 0; i < times; i += 1) {
    const run = breaker.run(fails('unreachable')).catch(() => undefined);
    await clock.passUntilIdle();
    await run;
  }
}

test.each([1, 2, 5])(
  'sessions that last after %i early ends say nothing about dials that have failed since the last login',
  async (count) => {
    const breaker = await onProbation(count);
    await failTimes(breaker, 4);
    breaker.sessionsLast();
    expect(breaker.isClosed).toBe(false);
    // The pause after four failures in a row: 250 ms, doubled twice.
    expect([breaker.pauseMs, breaker.nextAttemptAt]).toEqual([1_000, performance.now() + 1_000]);
    await failTimes(breaker, 1);
    expect(breaker.pauseMs).toBe(2_000);
  },
);

test('sessions that last clear the failures before the last login, and end the pause', async () => {
  const breaker = await onProbation(3);
  await failTimes(breaker, 3);
  const run = breaker.run(async () => 'connected');
  await clock.passUntilIdle();
  await run;
  const next = breaker.run(async () => 'connected');
  await clock.settle();
  expect(breaker.pauseMs).toBeGreaterThan(0);
  breaker.sessionsLast();
  await clock.settle();
  expect([await next, breaker.pauseMs, breaker.isClosed]).toEqual(['connected', 0, true]);
});

test('a dial that is in progress when sessions last, and fails, is the first failure', async () => {
  const breaker = await onProbation(3);
  let fail: (error: Error) => void = () => {};
  const attempt = () =>
    new Promise<never>((_, reject) => {
      fail = reject;
    });
  const run = breaker.run(attempt).catch(() => undefined);
  await clock.passUntilIdle();
  breaker.sessionsLast();
  fail(new DialFailedError({ kind: 'transient', error: new ServerUnavailableError('busy') }, undefined));
  await run;
  expect([breaker.isClosed, breaker.pauseMs]).toEqual([false, 5_000]);
});

test('while dials keep failing, sessions that last do not end the pause before the next dial', async () => {
  const breaker = await onProbation(2);
  await failTimes(breaker, 4);
  const attempt = vi.fn(async () => 'connected');
  const run = breaker.run(attempt);
  await clock.settle();
  breaker.sessionsLast();
  await clock.pass(900);
  expect(attempt).not.toHaveBeenCalled();
  await clock.passUntilIdle();
  expect([await run, breaker.isClosed]).toEqual(['connected', true]);
});

test('the pause before the next dial does not last longer because sessions ended early before', async () => {
  const breaker = await onProbation(6);
  const run = breaker.run(fails('transient')).catch(() => undefined);
  await clock.passUntilIdle();
  await run;
  const attempt = vi.fn(async () => 'connected');
  const next = breaker.run(attempt);
  await clock.pass(100);
  breaker.sessionsLast();
  const { pauseMs } = breaker;
  expect(pauseMs).toBeLessThanOrEqual(5_000);
  await clock.pass(pauseMs - 1);
  expect(attempt).not.toHaveBeenCalled();
  await clock.pass(1);
  await clock.settle();
  expect(await next).toBe('connected');
});

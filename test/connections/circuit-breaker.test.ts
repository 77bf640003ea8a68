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

test('does not make callers wait while the server works', async () => {
  const breaker = new CircuitBreaker();
  let running = 0;
  await Promise.all(
    [1, 2, 3].map(() =>
      breaker.run(async () => {
        running += 1;
        await vi.waitUntil(() => running === 3);
      }),
    ),
  );
});

test('after a failure, one caller probes and the others get its result', async () => {
  const breaker = new CircuitBreaker();
  await expect(breaker.run(fails('unreachable'))).rejects.toThrow('unreachable');
  const attempt = vi.fn(fails('unreachable'));
  const results = await Promise.allSettled([1, 2, 3, 4].map(() => breaker.run(attempt)));
  expect(results.map((r) => r.status)).toEqual(['rejected', 'rejected', 'rejected', 'rejected']);
  expect(attempt).toHaveBeenCalledTimes(1);
});

test('a successful probe lets all callers through', async () => {
  const breaker = new CircuitBreaker();
  await breaker.run(fails('unreachable')).catch(() => undefined);
  const attempt = vi.fn(async () => 'connected');
  expect(await Promise.all([1, 2, 3].map(() => breaker.run(attempt)))).toEqual(['connected', 'connected', 'connected']);
  expect(breaker.pauseMs).toBe(0);
});

test('probes of an unreachable server come at once, then 250 ms apart, doubling to 5 s', async () => {
  const breaker = new CircuitBreaker();
  const pauses: number[] = [];
  for (let i = 0; i < 8; i += 1) {
    const run = breaker.run(fails('unreachable')).catch(() => undefined);
    await clock.passUntilIdle();
    await run;
    pauses.push(breaker.pauseMs);
  }
  expect(pauses).toEqual([0, 250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
});

test('failures of dials that ran in parallel count as one', async () => {
  const breaker = new CircuitBreaker();
  await Promise.allSettled(Array.from({ length: 20 }, () => breaker.run(fails('unreachable'))));
  expect(breaker.pauseMs).toBe(0);
});

test('a busy server is contacted again after 5 s, doubling to 60 s', async () => {
  const breaker = new CircuitBreaker();
  const pauses: number[] = [];
  for (let i = 0; i < 6; i += 1) {
    const run = breaker.run(fails('transient')).catch(() => undefined);
    await clock.passUntilIdle();
    await run;
    pauses.push(breaker.pauseMs);
  }
  expect(pauses).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
});

test('a refusal is an answer: the server is up', async () => {
  const breaker = new CircuitBreaker();
  await breaker.run(fails('transient')).catch(() => undefined);
  const run = breaker.run(fails('refused')).catch(() => undefined);
  await clock.passUntilIdle();
  await run;
  expect(breaker.pauseMs).toBe(0);
});

test('closing the pool ends the pause', async () => {
  const controller = new AbortController();
  const breaker = new CircuitBreaker();
  await breaker.run(fails('transient')).catch(() => undefined);
  const run = breaker.run(async () => 'connected', controller.signal);
  const reason = new Error('closed');
  controller.abort(reason);
  await expect(run).rejects.toBe(reason);
});

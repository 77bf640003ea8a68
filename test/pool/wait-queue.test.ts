import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { AbortedError, PoolClosedError } from '../../src/errors.js';
import { aborted, poolClosed, type Waiter, WaitQueue } from '../../src/pool/wait-queue.js';
import { clockPerTest } from '../support/clock-per-test.js';

const clock = clockPerTest();

const timeIsUp = new Error('time is up');
const aQueue = (timeoutMs = 1_000): WaitQueue<string> => new WaitQueue(timeoutMs, { timedOut: () => timeIsUp });

/** What has become of a wait. */
function outcome(promise: Promise<string>): { value?: string; error?: unknown } {
  const seen: { value?: string; error?: unknown } = {};
  promise.then(
    (value) => Object.assign(seen, { value }),
    (error) => Object.assign(seen, { error }),
  );
  return seen;
}

const turn = (): Promise<unknown> => clock.pass(0);

test('serves callers in the order in which they came', async () => {
  const queue = aQueue();
  const results = [1, 2, 3].map(() => outcome(queue.add(undefined).result));
  for (const value of ['a', 'b', 'c']) queue.serve(queue.first as never, value);
  await turn();
  expect(results).toEqual([{ value: 'a' }, { value: 'b' }, { value: 'c' }]);
  expect(queue.length).toBe(0);
  expect(queue.first).toBeUndefined();
});

test('a caller whose connection is being checked keeps its turn, and is skipped meanwhile', () => {
  const queue = aQueue();
  const [one, two] = [queue.add(undefined).waiter, queue.add(undefined).waiter];
  one.checking = true;
  expect(queue.first).toBe(two);
  two.checking = true;
  expect(queue.first).toBeUndefined();
  one.checking = false;
  expect(queue.first).toBe(one);
});

test('callers that leave while the queue is iterated are skipped, and no others', () => {
  const queue = aQueue();
  const waiters = [1, 2, 3, 4, 5].map(() => {
    const { waiter, result } = queue.add(undefined);
    void result.catch(() => {});
    return waiter;
  });
  const [one, two, three, four, five] = waiters as [Waiter, Waiter, Waiter, Waiter, Waiter];
  const leave = (...leaving: Waiter[]): void => {
    for (const waiter of leaving) queue.reject(waiter, timeIsUp);
  };
  const seen = new Set<Waiter>();
  for (const waiter of queue) {
    seen.add(waiter);
    if (waiter === one) leave(one, two);
    if (waiter === three) leave(four);
  }
  expect([...seen]).toEqual([one, three, five]);
  expect([...queue]).toEqual([three, five]);
  expect(queue.length).toBe(2);
});

test('a served caller leaves no listener behind, and the timer does not keep the process alive', async () => {
  const queue = aQueue();
  const { signal } = new AbortController();
  const { waiter, result } = queue.add(signal);
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  expect(queue.serve(waiter, 'a connection')).toBe(true);
  expect(await result).toBe('a connection');
  expect(waiter.settled).toBe(true);
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  await clock.pass(10_000);
  expect(clock.pending.size).toBe(0);
});

test('any number of callers with one signal share one listener, because Node.js warns of a leak at the eleventh', async () => {
  const queue = aQueue();
  const controller = new AbortController();
  const callers = Array.from({ length: 20 }, () => queue.add(controller.signal));
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
  queue.serve(callers[0]?.waiter as Waiter, 'a connection');
  const left = callers.slice(1).map(({ result }) => outcome(result));
  controller.abort('shutdown');
  await turn();
  expect(await callers[0]?.result).toBe('a connection');
  expect(left.map(({ error }) => (error as AbortedError).cause)).toEqual(left.map(() => 'shutdown'));
  expect(queue.length).toBe(0);
});

test('a caller leaves with the error of its dial, and only once', async () => {
  const queue = aQueue();
  const { waiter, result } = queue.add(undefined);
  const seen = outcome(result);
  queue.reject(waiter, new Error('login failed'));
  queue.reject(waiter, new Error('another'));
  expect(queue.serve(waiter, 'too late')).toBe(false);
  await turn();
  expect(seen).toEqual({ error: new Error('login failed') });
});

test('each caller leaves at its own deadline, with one timer for all', async () => {
  const queue = aQueue();
  const first = outcome(queue.add(undefined).result);
  await clock.pass(400);
  const second = outcome(queue.add(undefined).result);
  expect(clock.pending.size).toBe(1);
  await clock.pass(599);
  expect(first).toEqual({});
  await clock.pass(1);
  expect(first).toEqual({ error: timeIsUp });
  expect(second).toEqual({});
  await clock.pass(400);
  expect(second).toEqual({ error: timeIsUp });
  expect(clock.pending.size).toBe(0);
});

test('time already waited elsewhere counts; a caller who has waited too long leaves at once', async () => {
  const queue = aQueue();
  const patient = outcome(queue.add(undefined).result);
  const late = outcome(queue.add(undefined, performance.now() - 400).result);
  const tooLate = outcome(queue.add(undefined, performance.now() - 5_000).result);
  await clock.pass(1);
  expect([patient, late, tooLate]).toEqual([{}, {}, { error: timeIsUp }]);
  await clock.pass(599);
  expect([patient, late]).toEqual([{}, { error: timeIsUp }]);
});

test('a caller that arrives after the queue was empty is timed from its own start', async () => {
  const queue = aQueue();
  queue.serve(queue.add(undefined).waiter, 'a');
  await clock.pass(900);
  const next = outcome(queue.add(undefined).result);
  await clock.pass(999);
  expect(next).toEqual({});
  await clock.pass(1);
  expect(next).toEqual({ error: timeIsUp });
});

test('a signal ends the wait with its reason', async () => {
  const queue = aQueue();
  const controller = new AbortController();
  const { result, waiter } = queue.add(controller.signal);
  const reason = new Error('the request was cancelled');
  controller.abort(reason);
  await expect(result).rejects.toMatchObject({
    name: 'AbortedError',
    message: 'The wait for a connection was aborted.',
    cause: reason,
  });
  expect(waiter.settled).toBe(true);
  expect(queue.length).toBe(0);
});

test('done resolves when the caller has settled, even if it is read afterwards', async () => {
  const queue = aQueue();
  const { waiter } = queue.add(undefined);
  let done = false;
  void waiter.done.then(() => {
    done = true;
  });
  await turn();
  expect(done).toBe(false);
  queue.serve(waiter, 'a');
  await turn();
  expect(done).toBe(true);
  const { waiter: other } = queue.add(undefined);
  queue.serve(other, 'b');
  await other.done;
});

test('closing rejects all callers and stops the timer', async () => {
  const queue = aQueue();
  const results = [1, 2].map(() => outcome(queue.add(undefined).result));
  queue.rejectAll(poolClosed);
  await turn();
  for (const { error } of results) expect(error).toBeInstanceOf(PoolClosedError);
  expect(clock.pending.size).toBe(0);
});

test('the errors give the reason', () => {
  expect(poolClosed().message).toBe('The pool is closed.');
  expect(aborted(AbortSignal.abort('enough'))).toBeInstanceOf(AbortedError);
});

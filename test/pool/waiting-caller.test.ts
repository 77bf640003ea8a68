import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { AbortedError, PoolClosedError } from '../../src/errors.js';
import { aborted, poolClosed, WaitingCaller } from '../../src/pool/waiting-caller.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const nothing = (): void => {};
const timeIsUp = new Error('time is up');

interface Work<T> {
  promise: Promise<T>;
  resolve(value: T): void;
  reject(error: Error): void;
}

function work<T = string>(): Work<T> {
  let settle: Omit<Work<T>, 'promise'> = { resolve: nothing, reject: nothing };
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  return { promise, ...settle };
}

/** Everything that is ready to happen. */
const turn = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

test('gets what he waited for, and leaves no timer and no listener behind', async () => {
  const { signal } = new AbortController();
  const caller = new WaitingCaller(signal);
  const [result, late, over] = [work(), vi.fn(), vi.fn()];
  const wait = caller.wait(result.promise, late, over);
  caller.leaveAfter(1_000, () => timeIsUp);
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  expect(over).not.toHaveBeenCalled();
  result.resolve('a connection');
  expect(await wait).toBe('a connection');
  expect(caller.hasLeft).toBe(false);
  expect(over).toHaveBeenCalledTimes(1);
  expect(late).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

test('gets the failure of what he waited for, and leaves nothing behind', async () => {
  const { signal } = new AbortController();
  const caller = new WaitingCaller(signal);
  const [result, over] = [work(), vi.fn()];
  const wait = caller.wait(result.promise, nothing, over);
  caller.leaveAfter(1_000, () => timeIsUp);
  result.reject(new Error('login failed'));
  await expect(wait).rejects.toThrow('login failed');
  expect(caller.hasLeft).toBe(true);
  expect(over).toHaveBeenCalledTimes(1);
  expect(vi.getTimerCount()).toBe(0);
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

test('leaves when his time is up, counted from when he came; a second limit changes nothing', async () => {
  const caller = new WaitingCaller(undefined, performance.now() - 400);
  const wait = caller.wait(work().promise, nothing, nothing).catch((error: unknown) => error);
  caller.leaveAfter(1_000, () => timeIsUp);
  caller.leaveAfter(100, () => new Error('too early'));
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(599);
  expect(caller.hasLeft).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(caller.hasLeft).toBe(true);
  expect(await wait).toBe(timeIsUp);
});

test('who has waited too long already leaves at once, and who has left needs no timer', async () => {
  const caller = new WaitingCaller(undefined, performance.now() - 5_000);
  caller.leaveAfter(1_000, () => timeIsUp);
  await turn();
  expect(caller.hasLeft).toBe(true);
  caller.leaveAfter(1_000, () => timeIsUp);
  const other = new WaitingCaller(undefined);
  other.leave(timeIsUp);
  other.leaveAfter(1_000, () => timeIsUp);
  expect(vi.getTimerCount()).toBe(0);
});

test('leaves when his signal fires, with its reason', async () => {
  const controller = new AbortController();
  const over = vi.fn();
  const wait = new WaitingCaller(controller.signal).wait(work().promise, nothing, over);
  const reason = new Error('the request was cancelled');
  controller.abort(reason);
  await expect(wait).rejects.toMatchObject({
    name: 'AbortedError',
    message: 'The wait for a connection was aborted.',
    cause: reason,
  });
  expect(over).toHaveBeenCalledTimes(1);
});

test('what comes after he has left goes to somebody who takes care of it; he leaves only once', async () => {
  const caller = new WaitingCaller(undefined);
  const [result, late, over] = [work(), vi.fn(), vi.fn()];
  const wait = caller.wait(result.promise, late, over).catch((error: unknown) => error);
  caller.leave(timeIsUp);
  caller.leave(new Error('closed meanwhile'));
  result.resolve('a connection');
  expect(await wait).toBe(timeIsUp);
  await turn();
  expect(late.mock.calls).toEqual([['a connection']]);
  expect(over).toHaveBeenCalledTimes(1);
});

test.each(['ends well', 'fails', 'is left'] as const)('outlasts work that %s, without an error', async (end) => {
  const caller = new WaitingCaller(undefined);
  const [one, other] = [work(), work()];
  const ended: string[] = [];
  void caller.outlast(one.promise).then(() => ended.push('one'));
  void caller.outlast(other.promise).then(() => ended.push('other'));
  await turn();
  expect(ended).toEqual([]);
  if (end === 'ends well') one.resolve('');
  if (end === 'fails') one.reject(new Error('login failed'));
  if (end === 'is left') caller.leave(timeIsUp);
  await turn();
  expect(ended).toEqual(end === 'is left' ? ['one', 'other'] : ['one']);
});

test('who has left outlasts nothing more', async () => {
  const caller = new WaitingCaller(undefined);
  caller.leave(timeIsUp);
  await caller.outlast(new Promise(nothing));
});

test('says why he was sent away', () => {
  expect(poolClosed()).toBeInstanceOf(PoolClosedError);
  expect(poolClosed().message).toBe('The pool is closed.');
  expect(aborted(AbortSignal.abort('enough'))).toBeInstanceOf(AbortedError);
});

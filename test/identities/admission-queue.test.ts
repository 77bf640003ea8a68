import { getEventListeners } from 'node:events';
import { beforeEach, expect, test } from 'vitest';
import { AdmissionQueue } from '../../src/identities/admission-queue.js';
import { clockPerTest } from '../support/clock-per-test.js';

const clock = clockPerTest();

let queue: AdmissionQueue;
let back: string[];

beforeEach(() => {
  queue = new AdmissionQueue();
  back = [];
});

function wait(
  name: string,
  { ms = 60_000, again = false, signal }: { ms?: number; again?: boolean; signal?: AbortSignal } = {},
) {
  void queue.wait(name, ms, signal, again).then(() => {
    back.push(name);
  });
}

test('wakes callers in the order in which they arrived', async () => {
  for (const name of ['a', 'b', 'c']) wait(name);
  expect(queue.length).toBe(3);
  queue.wakeAnother();
  queue.wakeAnother();
  await clock.pass(0);
  expect(back).toEqual(['a', 'b']);
  expect(queue.length).toBe(1);
});

test('wakes the next caller only when the previous one has checked again', async () => {
  for (const name of ['a', 'b']) wait(name);
  queue.wakeNext();
  queue.wakeNext();
  await clock.pass(0);
  expect(back).toEqual(['a']);
  queue.arrived();
  queue.wakeNext();
  await clock.pass(0);
  expect(back).toEqual(['a', 'b']);
});

test('a woken caller takes precedence over one that arrives, until it has checked again', async () => {
  expect(queue.isEmpty).toBe(true);
  wait('a');
  expect(queue.isEmpty).toBe(false);
  queue.wakeNext();
  expect(queue.length).toBe(0);
  expect(queue.isEmpty).toBe(false);
  await clock.pass(0);
  queue.arrived();
  expect(queue.isEmpty).toBe(true);
});

test('a caller that was woken in vain keeps its turn', async () => {
  for (const name of ['b', 'c']) wait(name);
  wait('a', { again: true });
  queue.wakeAnother();
  await clock.pass(0);
  expect(back).toEqual(['a']);
});

test('a wait ends in time, and leaves the queue', async () => {
  wait('a', { ms: 1_000 });
  await clock.pass(999);
  expect(back).toEqual([]);
  await clock.pass(1);
  expect(back).toEqual(['a']);
  expect(queue.length).toBe(0);
});

test('an abort ends a wait, and leaves neither timer nor listener', async () => {
  const controller = new AbortController();
  wait('a', { signal: controller.signal });
  controller.abort();
  await clock.pass(0);
  expect(back).toEqual(['a']);
  expect(clock.pending.size).toBe(0);
  wait('b', { signal: new AbortController().signal });
  queue.wakeAnother();
  expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
});

test('wakes the callers of one identity, or all', async () => {
  for (const name of ['a', 'b', 'a', 'c']) wait(name);
  queue.wakeAll('a');
  await clock.pass(0);
  expect(back).toEqual(['a', 'a']);
  queue.wakeAll();
  await clock.pass(0);
  expect(back).toEqual(['a', 'a', 'b', 'c']);
  queue.wakeAll();
  queue.wakeAnother();
});

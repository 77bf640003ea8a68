import { expect, test } from 'vitest';
import { PoolClosedError } from '../../src/errors.js';
import { Capacity } from '../../src/pool/capacity.js';

test('whoever comes when the bound is reached waits for the next one given back, in turn', async () => {
  const capacity = new Capacity(1);
  await capacity.take();
  const order: string[] = [];
  const first = capacity.take().then(() => order.push('first'));
  const second = capacity.take().then(() => order.push('second'));
  expect(capacity.tryTake()).toBe(false);

  capacity.give();
  await first;
  expect(order).toEqual(['first']);
  expect(capacity.taken).toBe(1);

  capacity.give();
  await second;
  expect(order).toEqual(['first', 'second']);
});

test('closing turns waiters away with a PoolClosedError, and empty() resolves when the last is given back', async () => {
  const capacity = new Capacity(1);
  await capacity.take();
  const waiting = capacity.take();
  capacity.close();
  await expect(waiting).rejects.toBeInstanceOf(PoolClosedError);
  await expect(capacity.take()).rejects.toBeInstanceOf(PoolClosedError);

  let empty = false;
  const done = capacity.empty().then(() => {
    empty = true;
  });
  await Promise.resolve();
  expect(empty).toBe(false);
  capacity.give();
  await done;
  await capacity.empty();
});

test('up to the bound they are given at once, and never one more', async () => {
  const capacity = new Capacity(2);
  expect([capacity.tryTake(), capacity.tryTake(), capacity.tryTake()]).toEqual([true, true, false]);
  expect(capacity.taken).toBe(2);
});

test('whoever comes later does not overtake a waiter, even when there is room', async () => {
  const capacity = new Capacity(1);
  await capacity.take();
  const waiting = capacity.take();
  capacity.give();
  expect(capacity.tryTake()).toBe(false);
  await waiting;
  capacity.give();
  expect([capacity.taken, capacity.tryTake()]).toEqual([0, true]);
});

test('once closed nothing is given, not even what is free, and everybody is told why', async () => {
  const capacity = new Capacity(1);
  capacity.close();
  expect(capacity.tryTake()).toBe(false);
  await expect(capacity.take()).rejects.toThrow('The pool is closed.');
  await capacity.empty();
});

test('empty() waits for the last of several', async () => {
  const capacity = new Capacity(2);
  await capacity.take();
  await capacity.take();
  let empty = false;
  const done = capacity.empty().then(() => {
    empty = true;
  });
  capacity.give();
  await Promise.resolve();
  expect(empty).toBe(false);
  capacity.give();
  await done;
});

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

import { beforeEach, expect, test, vi } from 'vitest';
import { PoolClosedError } from '../../src/errors.js';
import { type LimitShare, noFurtherLimit, SharedLimit } from '../../src/pool/connection-limit.js';

const order: string[] = [];

beforeEach(() => {
  order.length = 0;
});

/** Takes a permit, now or later, and records it. */
function take(share: LimitShare, name: string): Promise<void> {
  return share.take().then(
    () => void order.push(name),
    (error: Error) => void order.push(`${name}: ${error.message}`),
  );
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('all pools together have no more connections than the limit, and each no more than its own maximum', () => {
  const limit = new SharedLimit(3, () => {});
  const [one, other] = [limit.share(2), limit.share(5)];
  expect([one.tryTake(), one.tryTake(), one.tryTake()]).toEqual([true, true, false]);
  expect([one.taken, limit.taken]).toEqual([2, 2]);
  expect([other.tryTake(), other.tryTake()]).toEqual([true, false]);
  expect([other.taken, limit.taken, limit.max]).toEqual([1, 3, 3]);
  one.give();
  expect([one.taken, limit.taken]).toEqual([1, 2]);
  expect([one.tryTake(), one.tryTake()]).toEqual([true, false]);
});

test("a permit that the limit refused does not count against the pool's own maximum", () => {
  const limit = new SharedLimit(1, () => {});
  const [one, other] = [limit.share(1), limit.share(1)];
  one.tryTake();
  expect(other.tryTake()).toBe(false);
  one.give();
  expect(other.tryTake()).toBe(true);
});

test('only a pool that has to wait is reported', async () => {
  const onWait = vi.fn();
  const limit = new SharedLimit(1, onWait);
  const [one, other] = [limit.share(2), limit.share(2)];
  await one.take();
  expect(onWait).not.toHaveBeenCalled();
  expect(limit.waiting).toBe(0);
  void take(other, 'other');
  await turn();
  expect(onWait).toHaveBeenCalledTimes(1);
  expect([limit.waiting, other.waiting, one.waiting]).toEqual([1, 1, 0]);
  one.give();
  await turn();
  expect([limit.waiting, other.waiting, limit.taken, other.taken, one.taken]).toEqual([0, 0, 1, 1, 0]);
});

test('the pool with the fewest connections goes first, and among those the one that waits longest', async () => {
  const limit = new SharedLimit(4, () => {});
  const [many, few, none, late] = [limit.share(9), limit.share(9), limit.share(9), limit.share(9)];
  for (let i = 0; i < 3; i += 1) await many.take();
  await few.take();
  void take(few, 'few');
  void take(many, 'many');
  void take(none, 'none');
  void take(late, 'late');
  await turn();
  for (let i = 0; i < 3; i += 1) {
    many.give();
    await turn();
  }
  // The last one went to "many", which had none left.
  expect(order).toEqual(['none', 'late', 'many']);
  expect([many.taken, few.taken, none.taken, late.taken]).toEqual([1, 1, 1, 1]);
});

test('a free permit goes to a pool that waits, not to one that asks later', async () => {
  const limit = new SharedLimit(1, () => {});
  const [one, waits, hurries] = [limit.share(1), limit.share(1), limit.share(1)];
  await one.take();
  void take(waits, 'waits');
  await turn();
  one.give();
  expect(hurries.tryTake()).toBe(false);
  await turn();
  expect(order).toEqual(['waits']);
});

test('a pool yields to one that has none or two fewer, but not to itself, and not merely to swap', async () => {
  const limit = new SharedLimit(3, () => {});
  const [three, two, other] = [limit.share(9), limit.share(9), limit.share(9)];
  for (let i = 0; i < 3; i += 1) await three.take();
  expect(limit.shouldYield(three)).toBe(false);
  void take(three, 'three');
  await turn();
  expect(limit.shouldYield(three)).toBe(false);
  void take(two, 'two');
  await turn();
  expect(limit.shouldYield(three)).toBe(true);
  expect(limit.shouldYield(two)).toBe(false);
  three.give();
  await turn();
  expect([three.taken, two.taken]).toEqual([2, 1]);
  void take(two, 'two');
  await turn();
  // With another one the two would only have swapped.
  expect(limit.shouldYield(three)).toBe(false);
  void take(other, 'other');
  await turn();
  expect(limit.shouldYield(two)).toBe(true);
});

test('a pool with two more than one that waits yields, one with fewer does not', async () => {
  const limit = new SharedLimit(6, () => {});
  const [three, two, one] = [limit.share(9), limit.share(9), limit.share(9)];
  for (const share of [three, three, three, two, two, one]) await share.take();
  void take(one, 'one');
  await turn();
  expect([three, two, one].map((share) => limit.shouldYield(share))).toEqual([true, false, false]);
});

test('a pool that closes ends only its own waits', async () => {
  const limit = new SharedLimit(1, () => {});
  const [one, closing, other] = [limit.share(3), limit.share(3), limit.share(3)];
  await one.take();
  void take(other, 'other');
  void take(closing, 'closing 1');
  void take(closing, 'closing 2');
  await turn();
  closing.close();
  await turn();
  expect(order).toEqual(['closing 1: The pool is closed.', 'closing 2: The pool is closed.']);
  expect([limit.waiting, closing.waiting, closing.taken]).toEqual([1, 0, 0]);
  await expect(closing.take()).rejects.toBeInstanceOf(PoolClosedError);
  expect(closing.tryTake()).toBe(false);
  one.give();
  await turn();
  expect(order.at(-1)).toBe('other');

  other.give();
  await turn();
  expect([other.taken, limit.taken]).toEqual([0, 0]);
});

test('permits go to waiting pools in the order in which they arrived', async () => {
  const limit = new SharedLimit(1, () => {});
  const share = limit.share(5);
  await share.take();
  const waits = [take(share, 'first'), take(share, 'second')];
  expect(share.tryTake()).toBe(false);
  share.give();
  await waits[0];
  expect(order).toEqual(['first']);
  share.give();
  await waits[1];
  expect(order).toEqual(['first', 'second']);
  expect([share.taken, limit.taken]).toEqual([1, 1]);
});

test('once closed, no permit is granted, not even a free one', async () => {
  const share = new SharedLimit(1, () => {}).share(1);
  share.close();
  expect(share.tryTake()).toBe(false);
  await expect(share.take()).rejects.toThrow('The pool is closed.');
});

test('a pool on its own has no further limit', async () => {
  for (let i = 0; i < 1_000; i += 1) expect(noFurtherLimit.tryTake()).toBe(true);
  await noFurtherLimit.take();
});

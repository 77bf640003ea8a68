import { beforeEach, expect, test, vi } from 'vitest';
import { PoolClosedError } from '../../src/errors.js';
import { Room, type RoomShare } from '../../src/pool/room.js';

const order: string[] = [];

beforeEach(() => {
  order.length = 0;
});

/** Takes one, now or later, and notes it. */
function take(share: RoomShare, name: string): Promise<void> {
  return share.take().then(
    () => void order.push(name),
    (error: Error) => void order.push(`${name}: ${error.message}`),
  );
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('all pools together have no more connections than the room, and each no more than its own bound', () => {
  const room = new Room(3, () => {});
  const [one, other] = [room.share(2), room.share(5)];
  expect([one.tryTake(), one.tryTake(), one.tryTake()]).toEqual([true, true, false]);
  expect([one.taken, room.taken]).toEqual([2, 2]);
  expect([other.tryTake(), other.tryTake()]).toEqual([true, false]);
  expect([other.taken, room.taken, room.bound]).toEqual([1, 3, 3]);
  one.give();
  expect([one.taken, room.taken]).toEqual([1, 2]);
  expect([one.tryTake(), one.tryTake()]).toEqual([true, false]);
});

test('what a pool was refused by the room is not counted against its own bound', () => {
  const room = new Room(1, () => {});
  const [one, other] = [room.share(1), room.share(1)];
  one.tryTake();
  expect(other.tryTake()).toBe(false);
  one.give();
  expect(other.tryTake()).toBe(true);
});

test('whoever has to wait is said so, and nobody else', async () => {
  const onWait = vi.fn();
  const room = new Room(1, onWait);
  const [one, other] = [room.share(2), room.share(2)];
  await one.take();
  expect(onWait).not.toHaveBeenCalled();
  expect(room.waiting).toBe(0);
  void take(other, 'other');
  await turn();
  expect(onWait).toHaveBeenCalledTimes(1);
  expect([room.waiting, other.waiting, one.waiting]).toEqual([1, 1, 0]);
  one.give();
  await turn();
  expect([room.waiting, other.waiting, room.taken, other.taken, one.taken]).toEqual([0, 0, 1, 1, 0]);
});

test('the pool with the fewest connections goes first, and among those whoever waits longest', async () => {
  const room = new Room(4, () => {});
  const [many, few, none, late] = [room.share(9), room.share(9), room.share(9), room.share(9)];
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
  // The last one went to "many", which had none any more then.
  expect(order).toEqual(['none', 'late', 'many']);
  expect([many.taken, few.taken, none.taken, late.taken]).toEqual([1, 1, 1, 1]);
});

test('nobody takes what is free before those who wait', async () => {
  const room = new Room(1, () => {});
  const [one, waits, hurries] = [room.share(1), room.share(1), room.share(1)];
  await one.take();
  void take(waits, 'waits');
  await turn();
  one.give();
  expect(hurries.tryTake()).toBe(false);
  await turn();
  expect(order).toEqual(['waits']);
});

test('a pool makes room for one that has none, or two fewer; not for itself, and not to change places', async () => {
  const room = new Room(3, () => {});
  const [three, two, other] = [room.share(9), room.share(9), room.share(9)];
  for (let i = 0; i < 3; i += 1) await three.take();
  expect(room.shouldYield(three)).toBe(false);
  void take(three, 'three');
  await turn();
  expect(room.shouldYield(three)).toBe(false);
  void take(two, 'two');
  await turn();
  expect(room.shouldYield(three)).toBe(true);
  expect(room.shouldYield(two)).toBe(false);
  three.give();
  await turn();
  expect([three.taken, two.taken]).toEqual([2, 1]);
  void take(two, 'two');
  await turn();
  // With another one the two would only have changed places.
  expect(room.shouldYield(three)).toBe(false);
  void take(other, 'other');
  await turn();
  expect(room.shouldYield(two)).toBe(true);
});

test('a pool with two more than one that waits makes room, one with fewer does not', async () => {
  const room = new Room(6, () => {});
  const [three, two, one] = [room.share(9), room.share(9), room.share(9)];
  for (const share of [three, three, three, two, two, one]) await share.take();
  void take(one, 'one');
  await turn();
  expect([three, two, one].map((share) => room.shouldYield(share))).toEqual([true, false, false]);
});

test('a pool that closes takes its own waiters with it and no others, and is empty when its last is given back', async () => {
  const room = new Room(1, () => {});
  const [one, closing, other] = [room.share(3), room.share(3), room.share(3)];
  await one.take();
  void take(other, 'other');
  void take(closing, 'closing 1');
  void take(closing, 'closing 2');
  await turn();
  closing.close();
  await turn();
  expect(order).toEqual(['closing 1: The pool is closed.', 'closing 2: The pool is closed.']);
  expect([room.waiting, closing.waiting, closing.taken]).toEqual([1, 0, 0]);
  await closing.empty();
  await expect(closing.take()).rejects.toBeInstanceOf(PoolClosedError);
  expect(closing.tryTake()).toBe(false);
  one.give();
  await turn();
  expect(order.at(-1)).toBe('other');

  let empty = false;
  void other.empty().then(() => {
    empty = true;
  });
  await turn();
  expect(empty).toBe(false);
  other.give();
  await turn();
  expect(empty).toBe(true);
  expect(room.taken).toBe(0);
});

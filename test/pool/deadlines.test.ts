import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Deadlines } from '../../src/pool/deadlines.js';

test('items come out in the order they are due, and none before its time', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 50 })), fc.integer({ min: 0, max: 50 }), (times, now) => {
      const deadlines = new Deadlines<number>();
      times.forEach((at, i) => {
        deadlines.add(i, at);
      });
      expect(deadlines.next).toBe(times.length === 0 ? Number.POSITIVE_INFINITY : Math.min(...times));
      const due: number[] = [];
      for (let first = deadlines.takeDue(now); first !== undefined; first = deadlines.takeDue(now)) {
        expect(times[first.item]).toBe(first.at);
        due.push(first.at);
      }
      expect(due).toEqual(times.filter((at) => at <= now).sort((a, b) => a - b));
      expect(deadlines.size).toBe(times.length - due.length);
    }),
  );
});

test('after clear() nothing is due', () => {
  const deadlines = new Deadlines<string>();
  deadlines.add('one', 1);
  deadlines.clear();
  expect([deadlines.size, deadlines.next, deadlines.takeDue(2)]).toEqual([0, Number.POSITIVE_INFINITY, undefined]);
});

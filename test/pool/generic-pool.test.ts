import { expect, test } from 'vitest';
import { createResourcePool } from '../../src/pool/generic-pool.js';

const factory = { create: async () => ({}), destroy: async () => undefined };

/** What generic-pool keeps in each pool. */
interface Parts {
  _waitingClientsQueue: { length: number; tail: unknown; dequeue(): unknown };
  _availableObjects: { length: number; shift(): unknown };
  _validationOperations: unknown;
  _testOnBorrowResources: unknown;
  _testOnReturnResources: unknown;
}
const partsOf = (pool: object): Parts => pool as Parts;

test('pools share what generic-pool keeps for features that are not used', () => {
  const [one, other] = [partsOf(createResourcePool(factory, 1)), partsOf(createResourcePool(factory, 1))];
  for (const part of ['_validationOperations', '_testOnBorrowResources', '_testOnReturnResources'] as const) {
    expect(one[part]).toBe(other[part]);
  }
});

test('the queues of a pool at rest are empty, before and after they were used', async () => {
  const pool = createResourcePool(factory, 1);
  const { _waitingClientsQueue: requests, _availableObjects: resources } = partsOf(pool);
  const expectEmpty = (): void =>
    expect([requests.length, requests.tail, requests.dequeue(), resources.length, resources.shift()]).toEqual([
      0,
      undefined,
      undefined,
      0,
      undefined,
    ]);
  expectEmpty();
  const first = await pool.acquire();
  const second = pool.acquire();
  expect([requests.length, requests.tail, pool.pending]).toEqual([1, expect.anything(), 1]);
  await pool.destroy(first);
  await pool.destroy(await second);
  await pool.drain();
  expectEmpty();
});

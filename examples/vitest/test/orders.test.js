import { expect, inject, test } from 'vitest';
import { openOrders } from '../src/orders.js';

test('reads the orders of a customer', async () => {
  const orders = await openOrders(inject('config'));
  expect(await orders.of(7)).toEqual([{ id: 7, item: 'coffee' }]);
  await orders.close();
});

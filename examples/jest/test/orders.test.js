const { setTimeout: sleep } = require('node:timers/promises');
const { openOrders } = require('../src/orders.js');

let orders;
beforeAll(async () => {
  orders = await openOrders(JSON.parse(process.env.TEST_SQL_CONFIG));
});
afterAll(() => orders.close());

test('reads the orders of a customer', async () => {
  expect(await orders.of(7)).toEqual([{ id: 7, item: 'coffee' }]);
});

test('reads orders for longer than a token lives', async () => {
  const until = Date.now() + 9_000;
  while (Date.now() < until) {
    expect(await orders.of(8)).toHaveLength(1);
    await sleep(50);
  }
});

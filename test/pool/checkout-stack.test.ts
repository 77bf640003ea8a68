import { afterEach, expect, test } from 'vitest';
import { CheckoutStack } from '../../src/pool/checkout-stack.js';

const { prepareStackTrace, stackTraceLimit } = Error;
afterEach(() => {
  Error.prepareStackTrace = prepareStackTrace;
  Error.stackTraceLimit = stackTraceLimit;
});

/** A stack whose frames are these. */
function stackOf(...frames: string[]): CheckoutStack {
  const stack = new CheckoutStack(stackOf);
  Error.prepareStackTrace = () => ['Error', ...frames.map((frame) => `    at ${frame}`)].join('\n');
  // Read while the frames are those.
  void stack.text;
  Error.prepareStackTrace = prepareStackTrace;
  return stack;
}

const APPLICATION = 'loadOrders (/srv/app/src/orders.js:42:17)';

test('the holder is the first frame of the application', () => {
  const stack = stackOf(
    'new Promise (<anonymous>)',
    'node:internal/process/task_queues:95:5',
    'Client.query (/srv/app/node_modules/knex/lib/client.js:1:2)',
    'async Runner.run (C:\\app\\node_modules\\knex\\lib\\runner.js:3:4)',
    APPLICATION,
    'main (/srv/app/src/main.js:1:1)',
  );
  expect(stack.holder).toBe(APPLICATION);
  expect(stack.text?.split('\n')).toHaveLength(6);
});

test('where there is no frame of the application, the holder is the innermost one', () => {
  expect(stackOf('run (/app/node_modules/a/b.js:1:2)', 'go (/app/node_modules/a/c.js:3:4)').holder).toBe(
    'run (/app/node_modules/a/b.js:1:2)',
  );
  expect(stackOf().holder).toBeUndefined();
  expect(stackOf().text).toBeUndefined();
});

test.each<[string, string, string]>([
  ['the query of a module', 'f (file:///srv/a.js?key=topsecret:1:2)', 'f (/srv/a.js:1:2)'],
  ['the fragment of a module', 'async file:///srv/a.js#topsecret:1:2', 'async /srv/a.js:1:2'],
  ['the source in a data: URL', 'f (data:text/javascript,const%20p=%22topsecret%22:1:2)', 'f (data:)'],
  ['what looks like a token', 'Object.eyJhbGciOiJSUzI1NiJ9.topsecret.sig (/srv/a.js:1:2)', '[hidden] (/srv/a.js:1:2)'],
  ['a password in a URL', 'f (https://app:topsecret@host/a.js:1:2)', 'f (https://[hidden]@host/a.js:1:2)'],
])('%s is not shown', (_, frame, shown) => {
  const { holder, text } = stackOf(frame);
  expect(holder).toContain(shown.replace('Object.', ''));
  expect(text).not.toContain('topsecret');
});

test('the name of a private method is kept', () => {
  expect(stackOf('Orders.#load (file:///srv/orders.js:1:2)').holder).toBe('Orders.#load (/srv/orders.js:1:2)');
});

test('what is very long is cut, and quickly', () => {
  const stack = stackOf(`f (file:///${'?'.repeat(1_000_000)}:1:2)`, `${'x'.repeat(100_000)} (/a.js:1:2)`);
  expect(stack.text?.length).toBeLessThan(1_000);
});

test.each<[string, () => unknown]>([
  ['throws', () => expect.unreachable()],
  ['returns an array', () => [{}, {}]],
  ['returns nothing', () => undefined],
])('a prepareStackTrace of the application that %s does no harm', (_, prepare) => {
  const stack = new CheckoutStack(stackOf);
  Error.prepareStackTrace = prepare;
  expect(stack.holder).toBeUndefined();
});

test('a stack is as deep as it has to be, and the limit of the application stays as it was', () => {
  Error.stackTraceLimit = 3;
  const deep = (depth: number): CheckoutStack => (depth === 0 ? new CheckoutStack(stackOf) : deep(depth - 1));
  // Not the caller of this stack: it is empty.
  expect(deep(30).text).toBeUndefined();
  function acquire(): CheckoutStack {
    return new CheckoutStack(acquire);
  }
  const nested = (depth: number): CheckoutStack => (depth === 0 ? acquire() : nested(depth - 1));
  expect(nested(10).text?.match(/nested/g)).toHaveLength(11);
  expect(Error.stackTraceLimit).toBe(3);
});

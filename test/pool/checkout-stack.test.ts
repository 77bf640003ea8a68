import { afterEach, expect, test, vi } from 'vitest';
import { CheckoutStack, folderOfPackage } from '../../src/pool/checkout-stack.js';
import { CheckoutStacks } from '../../src/pool/checkout-stacks.js';

const { prepareStackTrace, stackTraceLimit } = Error;
afterEach(() => {
  Error.prepareStackTrace = prepareStackTrace;
  Error.stackTraceLimit = stackTraceLimit;
  vi.restoreAllMocks();
});

// The folder of this package is found in the first stack that is read, and kept: not in one that a test has made up.
void new CheckoutStack(() => {}).text;

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

test('without a frame of the application, the holder is the innermost frame', () => {
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

test('very long text is cut, and quickly', () => {
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

test("a stack is as deep as necessary, and the application's own limit is unchanged", () => {
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

test('frames of this package are not shown, whatever else has names like its files', async () => {
  vi.resetModules();
  const fresh = await import('../../src/pool/checkout-stack.js');
  const acquire = (): CheckoutStack => new fresh.CheckoutStack(acquire);
  expect(acquire().text).toBeDefined();
  const own = (file: string): string => decodeURI(new URL(`../../src/${file}`, import.meta.url).href);
  const frames = [
    `TokenPool.acquire (${own('pool/token-pool.ts')}:1:2)`,
    `async request (${own('mssql/request.ts').replace('file://', '')}:3:4)`,
    'acquire (/srv/app/src/pool/checkout-stack.js:1:2)',
    APPLICATION,
  ];
  Error.prepareStackTrace = () => ['Error', ...frames.map((frame) => `    at ${frame}`)].join('\n');
  const { text } = new fresh.CheckoutStack(() => undefined);
  expect(text?.split('\n')).toEqual(frames.slice(2));
});

test('at most 20 frames are shown, the innermost ones', () => {
  const frames = Array.from({ length: 29 }, (_, i) => `f${i} (/srv/app/a.js:${i}:1)`);
  expect(stackOf(...frames).text).toBe(frames.slice(0, 20).join('\n'));
});

test('at most 30 frames are read', () => {
  const frames = Array.from({ length: 29 }, (_, i) => `f${i} (/app/node_modules/a/b.js:${i}:1)`);
  expect(stackOf(...frames, APPLICATION).holder).toBe(APPLICATION);
  expect(stackOf(...frames, 'g (/app/node_modules/a/b.js:30:1)', APPLICATION).holder).toBe(frames[0]);
});

test.each<[frame: string, shown: string]>([
  [`f (file://${process.cwd()}/app/a.js:1:2)`, 'f (app/a.js:1:2)'],
  [`${process.cwd()}/app/a.js:1:2`, 'app/a.js:1:2'],
  ['file:///srv/a.js:1:2', '/srv/a.js:1:2'],
  ['f (file:///srv/a.js?v=1:123:45)', 'f (/srv/a.js:123:45)'],
  ['f (file:///srv/a.js?v=1)', 'f (/srv/a.js'],
  ['f (file:///srv/a.js?at=1:2:/x)', 'f (/srv/a.js'],
  ['Orders.#load (C:\\app\\what?.js:1:2)', 'Orders.#load (C:\\app\\what?.js:1:2)'],
  ['f (data:text/javascript,a:1:2) (data:b)', 'f (data:) (data:)'],
])('%s is shown as %s', (frame, shown) => {
  expect(stackOf(frame).text).toBe(shown);
});

test('one frame takes 300 characters at most', () => {
  expect(stackOf(`f (/srv/${'a/'.repeat(400)}b.js:1:2)`).text).toHaveLength(300);
});

test('a deleted working directory does no harm', () => {
  vi.spyOn(process, 'cwd').mockImplementation(() => {
    throw new Error('ENOENT: no such file or directory, uv_cwd');
  });
  expect(stackOf(APPLICATION).text).toBe(APPLICATION);
});

test('a stack can be captured even if Error is frozen', () => {
  const limit = vi.spyOn(Error, 'captureStackTrace');
  const frozen = Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit');
  Object.defineProperty(Error, 'stackTraceLimit', { value: 10, writable: false, configurable: true });
  try {
    const acquire = (): CheckoutStack => new CheckoutStack(acquire);
    expect(acquire().text).toContain('checkout-stack.test.ts');
    expect(limit).toHaveBeenCalled();
  } finally {
    Object.defineProperty(Error, 'stackTraceLimit', frozen as PropertyDescriptor);
  }
});

test('a checkout that a library makes later has the stack of the request that it is for', () => {
  const stacks = new CheckoutStacks((below) => new CheckoutStack(below));
  const [first, second, unknown] = [{}, {}, {}];
  function createFirst(): void {
    stacks.note(first);
  }
  function createSecond(): void {
    stacks.note(second);
  }
  createFirst();
  createSecond();
  expect(stacks.current).toBeUndefined();
  const holder = (requester: object) => stacks.during(requester, () => stacks.current?.holder);
  expect(holder(second)).toMatch(/^createSecond /);
  expect(holder(first)).toMatch(/^createFirst /);
  expect(holder(unknown)).toBeUndefined();
  expect(() =>
    stacks.during(first, () => {
      throw new Error('refused');
    }),
  ).toThrow('refused');
  expect(stacks.current).toBeUndefined();
});

test('a checkout that was not sampled has no stack', () => {
  const stacks = new CheckoutStacks(() => undefined);
  const request = {};
  stacks.note(request);
  expect(stacks.during(request, () => stacks.current)).toBeUndefined();
});

test.each([
  ['CheckoutStack (/srv/repo/src/pool/checkout-stack.ts:1:2)', '/srv/repo/src/'],
  [
    'CheckoutStack (/srv/app/node_modules/mssql-token-pool/dist/shared/core-x.js:1:2)',
    '/srv/app/node_modules/mssql-token-pool/',
  ],
  [
    'new CheckoutStack (file:///srv/node_modules/.pnpm/mssql-token-pool@1.0.0/node_modules/mssql-token-pool/dist/shared/core-x.mjs:1:2)',
    'file:///srv/node_modules/.pnpm/mssql-token-pool@1.0.0/node_modules/mssql-token-pool/',
  ],
  ['C:\\app\\node_modules\\mssql-token-pool\\dist\\shared\\core-x.js:1:2', 'C:\\app\\node_modules\\mssql-token-pool\\'],
  ['CheckoutStack (/srv/app/dist/bundle.js:1:2)', ''],
])('frames of this package are left out, wherever it is: %s', (frame, folder) => {
  expect(folderOfPackage(frame)).toBe(folder);
});

import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { encryptedTokenStore, TokenCache, type TokenCacheOptions } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';
import { MemoryStore } from './memory-store.js';

const clock = clockPerTest();

const MINUTE = 60_000;

function silent(own: object = {}): FakeProvider {
  const provider = Object.assign(new FakeProvider(), own);
  provider.sticky = 'hang';
  return provider;
}

/** Ms until a waiting caller is rejected; undefined if it still waits after an hour. */
async function rejectedAfter(wait: () => Promise<unknown>): Promise<[ms: number, message: string] | undefined> {
  const startedAt = performance.now();
  let result: [number, string] | undefined;
  wait().catch((error: Error) => {
    result = [performance.now() - startedAt, error.message];
  });
  await clock.pass(60 * MINUTE);
  return result;
}

test.each<[string, object, TokenCacheOptions, number]>([
  ['10 s', {}, {}, 10_000],
  ['as long as the cache is configured to', {}, { requestTimeoutMs: 1_234 }, 1_234],
  ['as long as a credential that asks a person says', { requestTimeoutMs: 5 * MINUTE }, {}, 5 * MINUTE],
  [
    'as the cache is configured, whatever its credential says',
    { requestTimeoutMs: MINUTE },
    { requestTimeoutMs: 1 },
    1,
  ],
  ['10 s where the credential says nothing sensible', { requestTimeoutMs: '5 min' }, {}, 10_000],
])('a request may take %s', async (_, own, options, ms) => {
  const tokens = new TokenCache(silent(own), options);
  expect(await rejectedAfter(() => tokens.get())).toEqual([
    ms,
    `The identity provider did not answer within ${ms} ms.`,
  ]);
});

test.each([Number.POSITIVE_INFINITY, 2 ** 31])(
  'a limit beyond the timer maximum (%d ms) means no limit',
  async (ms) => {
    const tokens = new TokenCache(silent(), { requestTimeoutMs: ms });
    expect(await rejectedAfter(() => tokens.get())).toBeUndefined();
  },
);

test.each([0, -1, Number.NaN, 'soon' as unknown as number])('a request limit of %s is rejected', (ms) => {
  expect(() => new TokenCache(new FakeProvider(), { requestTimeoutMs: ms })).toThrow(
    expect.objectContaining({
      code: 'ERR_CONFIGURATION',
      message: "'requestTimeoutMs' must be a number of ms greater than 0.",
    }),
  );
});

test('a caller of an Azure SDK sets its own limit with requestOptions; 0 means no limit', async () => {
  const tokens = new TokenCache(silent());
  const limited = (requestOptions: object | undefined, timeoutMs?: number) =>
    rejectedAfter(() => tokens.getToken('https://vault.azure.net/.default', { requestOptions, timeoutMs }));
  expect(await limited({ timeout: 300 })).toEqual([300, 'No token within 300 ms.']);
  expect(await limited({ timeout: 300 }, 200)).toEqual([200, 'No token within 200 ms.']);
  for (const none of [{ timeout: 0 }, {}, undefined]) {
    expect(await limited(none)).toEqual([10_000, 'The identity provider did not answer within 10000 ms.']);
  }
});

test('the time of a shared store is added: a lease and three answers', async () => {
  const store = new MemoryStore();
  store.fault = 'hang';
  const tokenStore = encryptedTokenStore(store, { keys: randomBytes(32), leaseMs: 700, timeoutMs: 30 }).named('orders');
  const tokens = new TokenCache(silent(), { tokenStore });
  expect((await rejectedAfter(() => tokens.get()))?.[0]).toBe(10_000 + 700 + 3 * 30);
});

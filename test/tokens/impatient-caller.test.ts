import { randomBytes } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { encryptedTokenStore, TokenCache, TokenUnavailableError } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';
import { MemoryStore } from './memory-store.js';

const clock = clockPerTest();

test('is rejected with an error that says that the request continues', async () => {
  const provider = new FakeProvider();
  provider.sticky = 'hang';
  const outcome = new TokenCache(provider).get(undefined, { timeoutMs: 250 }).catch((error) => error);
  await clock.pass(250);
  expect(await outcome).toMatchObject({
    message: 'No token within 250 ms.',
    hint: expect.stringContaining('continues'),
  });
});

test('gets the error of the request if that comes first', async () => {
  const provider = new FakeProvider();
  provider.delayMs = 100;
  provider.sticky = new TokenUnavailableError('HTTP 503');
  const outcome = new TokenCache(provider).get(undefined, { timeoutMs: 5_000 }).catch((error) => error);
  await clock.pass(100);
  expect(await outcome).toBeInstanceOf(TokenUnavailableError);
  expect(clock.pending.size).toBe(0);
});

test.each(['gets a token', 'gets an error', 'gives up'])(
  'leaves no listener on the signal when the caller %s',
  async (end) => {
    const provider = new FakeProvider();
    provider.delayMs = 100;
    if (end === 'gets an error') provider.sticky = new TokenUnavailableError('HTTP 503');
    const abort = new AbortController();
    const outcome = new TokenCache(provider).get(undefined, { abortSignal: abort.signal }).catch((error) => error);
    expect(getEventListeners(abort.signal, 'abort')).toHaveLength(1);
    if (end === 'gives up') abort.abort();
    await clock.pass(100);
    const said = await outcome;
    if (end === 'gives up') expect(said.message).toBe('The wait for a token was aborted.');
    expect(getEventListeners(abort.signal, 'abort')).toHaveLength(0);
  },
);

test.each([Number.NaN, -1, '5', {}])('a timeoutMs of %o is refused before anything is requested', async (timeoutMs) => {
  const provider = new FakeProvider();
  const store = new MemoryStore();
  const tokenStore = encryptedTokenStore(store, { keys: randomBytes(32) }).named('orders');
  const tokens = new TokenCache(provider, { tokenStore });
  const options = { timeoutMs: timeoutMs as number };
  const refused = (call: string) => ({
    code: 'ERR_CONFIGURATION',
    message: `'timeoutMs' of ${call} must be a number of milliseconds, 0 or more.`,
  });
  await expect(tokens.get(undefined, options)).rejects.toMatchObject(refused('get()'));
  await expect(tokens.getToken(undefined, options)).rejects.toMatchObject(refused('getToken()'));
  expect([provider.requests.length, store.calls]).toEqual([0, 0]);
});

test('a timeoutMs that is null or Infinity sets no limit', async () => {
  for (const timeoutMs of [null, Number.POSITIVE_INFINITY]) {
    const provider = new FakeProvider();
    provider.delayMs = 9_000;
    const tokens = new TokenCache(provider);
    const taken = [
      tokens.get(undefined, { timeoutMs: timeoutMs as number }),
      tokens.getToken(undefined, { timeoutMs: timeoutMs as number }),
    ];
    for (const got of taken) got.catch(() => {});
    await clock.pass(9_000);
    await Promise.all(taken);
    expect(provider.requests).toHaveLength(1);
  }
});

test.each([Number.NaN, -1, 'soon'])(
  'a requestOptions.timeout of %o, which other clients set, sets no limit',
  async (timeout) => {
    const provider = new FakeProvider();
    provider.delayMs = 9_000;
    const taken = new TokenCache(provider).getToken(undefined, { requestOptions: { timeout: timeout as number } });
    taken.catch(() => {});
    await clock.pass(9_000);
    expect((await taken).token).toBe('token-1');
  },
);

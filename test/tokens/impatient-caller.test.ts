import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { TokenCache, TokenUnavailableError } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';

const clock = clockPerTest();

test('is rejected with an error that says that the request continues', async () => {
  const provider = new FakeProvider();
  provider.sticky = 'hang';
  const outcome = new TokenCache(provider).get(undefined, { timeoutMs: 250 }).catch((error) => error);
  await clock.pass(250);
  expect(await outcome).toMatchObject({ message: 'No token within 250 ms.', hint: expect.stringContaining('goes on') });
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

import { expect, test } from 'vitest';
import { TokenCache } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';

const clock = clockPerTest();

const POSTGRES = 'https://ossrdbms-aad.database.windows.net/.default';

test('connections that log in together make one request, later ones none while the token is valid', async () => {
  const provider = new FakeProvider();
  provider.delayMs = 500;
  const password = new TokenCache(provider).passwordFor(POSTGRES);
  const passwords = Promise.all([password(), password(), password()]);
  await clock.pass(500);
  expect(await passwords).toEqual(['token-1', 'token-1', 'token-1']);
  expect(await password()).toBe('token-1');
  expect(provider.requests.map(({ scope }) => scope)).toEqual([POSTGRES]);
});

test('a connection that logs in when the token is due gets a later one', async () => {
  const provider = new FakeProvider();
  const password = new TokenCache(provider).passwordFor(POSTGRES);
  await password();
  await clock.pass(59.5 * 60_000);
  const late = password();
  await clock.pass(1_000);
  await late;
  expect(await password()).toBe('token-2');
});

test.each([undefined, '', 5])('%j is refused as a scope', (scope) => {
  const tokens = new TokenCache(new FakeProvider());
  expect(() => tokens.passwordFor(scope as never)).toThrow(/^passwordFor\(\) needs a scope/);
});

import { expect, test } from 'vitest';
import { TokenCache, TokenUnavailableError } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';

const clock = clockPerTest();

test('a refused token is discarded, and the next caller gets a new one', async () => {
  const tokens = new TokenCache(new FakeProvider());
  const refused = await tokens.get();
  expect(tokens.invalidate(refused)).toBe(true);
  expect(tokens.current()).toBeUndefined();
  expect((await tokens.get()).reveal()).toBe('token-2');
});

test('accepts a string or an access token, and finds its scope', async () => {
  const tokens = new TokenCache(new FakeProvider());
  const sql = await tokens.getToken();
  const vault = await tokens.getToken('https://vault.azure.net/.default');
  expect(tokens.invalidate(vault.token, 'https://database.windows.net/.default')).toBe(false);
  expect(tokens.invalidate(vault)).toBe(true);
  expect(tokens.current()?.reveal()).toBe(sql.token);
  expect(tokens.invalidate(sql.token)).toBe(true);
});

test('with a scope, discards the token only for that scope, even if it serves another one', async () => {
  const provider = new FakeProvider();
  provider.sticky = provider.issue();
  const tokens = new TokenCache(provider);
  const [sql, vault] = ['https://database.windows.net/.default', 'https://vault.azure.net/.default'] as const;
  const { token } = await tokens.getToken(sql);
  await tokens.getToken(vault);
  expect(tokens.invalidate(token, 'https://graph.microsoft.com/.default')).toBe(false);
  expect(tokens.invalidate(token, vault)).toBe(true);
  expect(tokens.current(vault)).toBeUndefined();
  expect(tokens.current(sql)?.reveal()).toBe(token);
});

test('a token that has already been replaced causes no request', async () => {
  const tokens = new TokenCache(new FakeProvider());
  const old = await tokens.get();
  tokens.invalidate(old);
  const current = await tokens.get();
  await clock.pass(10_000);
  expect(tokens.invalidate(old)).toBe(false);
  expect(tokens.current()).toBe(current);
});

test('a server that refuses every token causes one request every 5 s', async () => {
  const provider = new FakeProvider();
  const tokens = new TokenCache(provider);
  for (let ms = 0; ms < 60_000; ms += 50) {
    tokens.invalidate(await tokens.get());
    await clock.pass(50);
  }
  expect(provider.requests.length).toBeLessThanOrEqual(1 + 60 / 5);
  expect(provider.mostInFlight).toBe(1);
});

test('a provider that keeps returning the refused token does not cause a loop', async () => {
  const provider = new FakeProvider();
  provider.sticky = provider.issue();
  const tokens = new TokenCache(provider);
  const refused = await tokens.get();
  expect(tokens.invalidate(refused)).toBe(true);
  expect(await tokens.get()).toBe(refused);
  expect(tokens.invalidate(refused)).toBe(false);
  for (let ms = 0; ms < 4_000; ms += 100) {
    await tokens.get();
    await clock.pass(100);
  }
  expect(provider.requests).toHaveLength(2);
});

test('another token replaces the refused one even if it expires earlier', async () => {
  const provider = new FakeProvider();
  const tokens = new TokenCache(provider);
  const refused = await tokens.get();
  tokens.invalidate(refused);
  provider.next = [{ token: refused.reveal(), expiresOnTimestamp: refused.expiresOn }];
  await tokens.get();
  await clock.pass(6_000);
  provider.lifeMs = 600_000;
  tokens.invalidate(refused);
  expect((await tokens.get()).reveal()).toBe('token-2');
});

test('during back-off, a refused token is kept, because it is the only one, and replaced when possible', async () => {
  const provider = new FakeProvider();
  const tokens = new TokenCache(provider);
  const held = await tokens.get();
  await clock.pass(held.refreshOn - Date.now());
  provider.next = [new TokenUnavailableError('HTTP 503')];
  tokens.current();
  await clock.pass(0);
  expect(tokens.invalidate(held)).toBe(false);
  expect(tokens.current()).toBe(held);
  await clock.pass(6_000);
  tokens.current();
  await clock.pass(0);
  expect(tokens.current()?.reveal()).toBe('token-2');
});

test('a claims challenge gets a new token at once, and the claims are kept', async () => {
  const provider = new FakeProvider();
  const tokens = new TokenCache(provider);
  await tokens.get();
  const challenged = await Promise.all([
    tokens.getToken(undefined, { claims: '{"access_token":{"nbf":1}}' }),
    tokens.getToken(undefined, { claims: '{"access_token":{"nbf":1}}' }),
  ]);
  expect(challenged.map((answer) => answer.token)).toEqual(['token-2', 'token-2']);
  expect(provider.requests.map((request) => request.options.claims)).toEqual([undefined, '{"access_token":{"nbf":1}}']);
  expect((await tokens.get()).reveal()).toBe('token-2');
});

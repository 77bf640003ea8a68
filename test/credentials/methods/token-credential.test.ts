import { expect, test } from 'vitest';
import { createCredential, TokenCache } from '../../../src/index.js';

const answer = () => ({ token: 'a.b.c', expiresOnTimestamp: Date.now() + 3_600_000 });
const thenable = () => ({
  // biome-ignore lint/suspicious/noThenProperty: promises of other libraries are thenables
  then(resolve: (value: unknown) => void) {
    resolve(answer());
  },
});

test.each<[string, () => unknown]>([
  ['an answer', answer],
  ['a promise', async () => answer()],
  ['a promise of another library', thenable],
])('a getToken() that returns %s works', async (_, getToken) => {
  const tokens = new TokenCache(createCredential({ credential: { getToken } as never }));
  expect((await tokens.get()).reveal()).toBe('a.b.c');
});

test.each<[string, unknown]>([
  ['undefined', undefined],
  ['a number', 7],
])('a getToken() that returns %s is refused with what it must return', async (_, value) => {
  const tokens = new TokenCache(createCredential({ credential: { getToken: () => value } as never }));
  const error = await tokens.get().catch((reason: unknown) => reason as { hint?: string });
  expect(error).toMatchObject({ code: 'ERR_CREDENTIAL_UNAVAILABLE' });
  expect((error as { hint?: string }).hint).toContain('getToken must return { token, expiresOnTimestamp }');
});

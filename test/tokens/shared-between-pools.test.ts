import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { sharedTokenCache, type TokenCredential } from '../../src/index.js';

function credential(): TokenCredential & { asked: number } {
  const self = {
    asked: 0,
    async getToken() {
      self.asked += 1;
      await sleep(5);
      return { token: `token-${self.asked}`, expiresOnTimestamp: Date.now() + 3_600_000 };
    },
  };
  return self;
}

it('one credential has one cache, and one request', async () => {
  const one = credential();
  const clone = { ...one };
  expect(sharedTokenCache(clone)).toBe(sharedTokenCache(one));
  await Promise.all([sharedTokenCache(one).take(), sharedTokenCache(clone).take()]);
  expect(one.asked).toBe(1);
});

it('two credentials have two', () => {
  expect(sharedTokenCache(credential())).not.toBe(sharedTokenCache(credential()));
});

it('something without getToken is refused at once, with a hint', () => {
  expect(() => sharedTokenCache({} as TokenCredential)).toThrow(/getToken/);
});

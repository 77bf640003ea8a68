import { expect, test } from 'vitest';
import { TokenCache } from '../../src/index.js';
import { CachedToken } from '../../src/tokens/cached-token.js';
import { clockPerTest } from '../support/clock-per-test.js';

const clock = clockPerTest();

const HOUR = 3_600_000;

test.each(['is answered', 'fails'])('an abandoned request that %s late does not affect the next one', async (end) => {
  const open: { answer: (token: string) => void; fail: () => void }[] = [];
  const tokens = new TokenCache({
    getToken: () =>
      new Promise((resolve, reject) => {
        open.push({
          answer: (token) => resolve({ token, expiresOnTimestamp: Date.now() + HOUR }),
          fail: () => reject(new Error('too late')),
        });
      }),
  });
  const first = tokens.get().catch((error) => error);
  await clock.pass(10_000);
  expect(await first).toMatchObject({
    message: 'The identity provider did not answer within 10000 ms.',
    hint: expect.stringContaining('proxies and firewalls'),
  });

  await clock.pass(6_000);
  const second = tokens.get();
  await clock.pass(1_000);
  if (end === 'fails') open[0]?.fail();
  else open[0]?.answer('late');
  await clock.pass(1_000);
  const third = tokens.get();
  open[1]?.answer('in-time');
  expect((await second).reveal()).toBe('in-time');
  expect((await third).reveal()).toBe(end === 'fails' ? 'in-time' : 'late');
  expect(open).toHaveLength(2);
  await clock.pass(60_000);
  expect(tokens.current()?.reveal()).toBe('in-time');
});

test('a token obtained by another request ends the back-off', async () => {
  const tokens = new TokenCache({
    getToken: async () => {
      throw new Error('HTTP 503');
    },
  });
  await tokens.get().catch(() => {});
  tokens.offer(new CachedToken({ token: 'beside', expiresOnTimestamp: Date.now() + HOUR }));
  expect((await tokens.get()).reveal()).toBe('beside');
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TokenCache, TokenUnavailableError } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';

const clock = clockPerTest();

const REQUEST_TIMEOUT_MS = 10_000;

/** Events that can happen to a cache, in any order. */
const event = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('pass'), ms: fc.integer({ min: 1, max: 900_000 }) }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'get' }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'look' }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'refuse' }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('provider'),
      mood: fc.constantFrom('works', 'fails', 'hangs', 'is slow', 'repeats itself', 'gives short ones'),
    }),
  },
) as fc.Arbitrary<{ kind: string; ms?: number; mood?: string }>;

test('in any sequence of events: one request at a time, no token inside its margin, every caller settles', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(event, { minLength: 5, maxLength: 40 }), async (events) => {
      const provider = new FakeProvider();
      const tokens = new TokenCache(provider, { requestTimeoutMs: REQUEST_TIMEOUT_MS });
      let waiting = 0;
      const check = (token: ReturnType<TokenCache['current']>) => {
        if (token !== undefined) expect(Date.now()).toBeLessThan(token.loginBefore);
      };
      for (const { kind, ms = 0, mood } of events) {
        if (kind === 'pass') await clock.pass(ms);
        if (kind === 'look') check(tokens.current());
        if (kind === 'refuse') {
          const token = tokens.current();
          if (token !== undefined) tokens.invalidate(token);
        }
        if (kind === 'get') {
          waiting += 1;
          tokens.get().then(
            (token) => {
              check(token);
              waiting -= 1;
            },
            (error) => {
              expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_/) });
              if (error.retryAfterMs !== undefined) expect(error.retryAfterMs).toBeGreaterThan(0);
              waiting -= 1;
            },
          );
        }
        if (kind === 'provider') {
          provider.delayMs = mood === 'is slow' ? 8_000 : 0;
          provider.lifeMs = mood === 'gives short ones' ? 3_000 : 3_600_000;
          provider.sticky = undefined;
          if (mood === 'fails') provider.sticky = new TokenUnavailableError('HTTP 503');
          if (mood === 'hangs') provider.sticky = 'hang';
          if (mood === 'repeats itself') provider.sticky = provider.issue();
        }
      }
      await clock.pass(REQUEST_TIMEOUT_MS);
      expect(waiting).toBe(0);
      // An abandoned request may still hang; requests with waiting callers never overlap.
      const open = provider.requests.filter(({ options }) => options.abortSignal?.aborted === false);
      expect(provider.mostInFlight).toBeLessThanOrEqual(1 + provider.requests.length - open.length);
    }),
    { numRuns: 150 },
  );
});

test('a provider that always fails is never called twice within 5 s, regardless of demand', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 4_000 }), { minLength: 20, maxLength: 60 }), async (pauses) => {
      const provider = new FakeProvider();
      provider.sticky = new TokenUnavailableError('HTTP 503');
      const tokens = new TokenCache(provider);
      for (const ms of pauses) {
        tokens.current();
        tokens.get().catch(() => {});
        await clock.pass(ms);
      }
      const times = provider.requests.map(({ at }) => at);
      for (let i = 1; i < times.length; i += 1) {
        expect((times[i] as number) - (times[i - 1] as number)).toBeGreaterThanOrEqual(5_000);
      }
    }),
    { numRuns: 100 },
  );
});

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Session } from '../../src/connections/session.js';
import { judgeNearEnd, laterToken } from '../../src/pool/token-expiry.js';
import { CachedToken } from '../../src/tokens/cached-token.js';
import { TokenCache } from '../../src/tokens/token-cache.js';
import { FakeProvider } from '../tokens/fake-provider.js';

const NOW = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;
const SCOPE = 'https://database.windows.net/.default';

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A connection on a token of one hour, of which so much is over. */
function session(ageMs: number): Session {
  const obtainedAt = NOW - ageMs;
  const accessToken = { token: 'own', expiresOnTimestamp: obtainedAt + 60 * MINUTE };
  return { token: new CachedToken(accessToken, { obtainedAt, refreshOn: obtainedAt }) } as Session;
}

/** Tokens are to be had from a provider that answers as it is told. */
function source(provider = new FakeProvider()) {
  return { provider, tokens: new TokenCache(provider), scope: SCOPE, scopeIsFixed: false };
}

/** The token at hand ends so much after that of a connection. */
async function gains(ms: number, { token: own }: Session, name = 'other'): Promise<boolean> {
  const from = source();
  const expiresOnTimestamp = (own?.expiresOn ?? NOW) + ms;
  from.tokens.offer(new CachedToken({ token: name, expiresOnTimestamp }, { obtainedAt: NOW }), SCOPE);
  return laterToken(from, { token: own } as Session, NOW) !== undefined;
}

test('a later token is worth a new connection only if it gains half the eviction margin', async () => {
  const young = session(10 * MINUTE);
  expect(await gains(2.5 * MINUTE, young)).toBe(false);
  expect(await gains(2.5 * MINUTE + 1, young)).toBe(true);
});

test('when the own token is no good for a login any more, any later one is worth it', async () => {
  const before = session(59 * MINUTE - 1);
  const at = session(59 * MINUTE);
  expect(await gains(61_000, before)).toBe(false);
  expect(await gains(61_000, at)).toBe(true);
  expect(await gains(MINUTE * 2, before)).toBe(false);
});

test('the same token, one that ends sooner, and none at all gain nothing', async () => {
  expect(await gains(10 * MINUTE, session(10 * MINUTE), 'own')).toBe(false);
  expect(await gains(-MINUTE, session(10 * MINUTE))).toBe(false);
  expect(await gains(10 * MINUTE, {} as Session)).toBe(false);
  expect(laterToken(source(), session(10 * MINUTE), NOW)).toBeUndefined();
});

/** A verdict, and how long it took. */
async function judged(
  from: ReturnType<typeof source>,
  of: Session,
  how: { strictExpiry: boolean; signal?: AbortSignal },
): Promise<[verdict: string, ms: number]> {
  const startedAt = performance.now();
  let verdict: [string, number] | undefined;
  void judgeNearEnd(from, of, how).then((said) => {
    verdict = [said, performance.now() - startedAt];
  });
  await vi.advanceTimersByTimeAsync(20_000);
  return verdict ?? ['nothing', 20_000];
}

const kindly = { strictExpiry: false };
const strictly = { strictExpiry: true };

test.each([kindly, strictly])('with a later token at hand it is replaced at once: %j', async (how) => {
  const from = source();
  await from.tokens.get(SCOPE);
  expect(await judged(from, session(57 * MINUTE), how)).toEqual(['replace', 0]);
  expect(from.provider.requests).toHaveLength(1);
});

test('with no usable token at hand a checkout waits for one: a second, then the session serves on', async () => {
  const quick = source();
  quick.provider.delayMs = 900;
  expect(await judged(quick, session(59 * MINUTE), kindly)).toEqual(['replace', 900]);
  const slow = source();
  slow.provider.delayMs = 1_500;
  expect(await judged(slow, session(59 * MINUTE), kindly)).toEqual(['serve', 1_000]);
});

test('strictly, it waits as long as the request may take', async () => {
  const slow = source();
  slow.provider.delayMs = 9_000;
  expect(await judged(slow, session(59 * MINUTE), strictly)).toEqual(['replace', 9_000]);
  const silent = source();
  silent.provider.sticky = 'hang';
  expect(await judged(silent, session(59 * MINUTE), strictly)).toEqual(['refuse', 10_000]);
});

test('while the provider fails the session serves on, or is refused, without a wait', async () => {
  for (const [how, verdict] of [
    [kindly, 'serve'],
    [strictly, 'refuse'],
  ] as const) {
    const from = source();
    from.provider.sticky = new Error('HTTP 503');
    expect(await judged(from, session(59 * MINUTE), how)).toEqual([verdict, 0]);
  }
});

test('P4: with a usable token at hand nobody waits for a provider that has none later', async () => {
  const from = source();
  const own = session(57 * MINUTE);
  const { expiresOn = 0 } = own.token ?? {};
  from.tokens.offer(
    new CachedToken({ token: 'own', expiresOnTimestamp: expiresOn }, { obtainedAt: NOW - 57 * MINUTE }),
  );
  from.provider.sticky = 'hang';
  expect(await judged(from, own, kindly)).toEqual(['serve', 0]);
  expect(await judged(from, own, strictly)).toEqual(['refuse', 0]);
});

test('a caller who gives up ends the wait', async () => {
  const silent = source();
  silent.provider.sticky = 'hang';
  const signal = AbortSignal.abort();
  expect(await judged(silent, session(59 * MINUTE), { ...strictly, signal })).toEqual(['refuse', 0]);
});

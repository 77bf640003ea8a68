import { expect, test } from 'vitest';
import { type AccessToken, PrincipalChangedError, TokenCache } from '../../src/index.js';
import { OnePrincipal } from '../../src/tokens/one-principal.js';
import { principalOf } from '../../src/tokens/principal.js';
import { clockPerTest } from '../support/clock-per-test.js';

const clock = clockPerTest();

const SCOPE = 'https://database.windows.net/.default';
const MINUTE = 60_000;

const jwt = (claims: object): string =>
  ['{"alg":"none"}', JSON.stringify(claims), 'signature']
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.');

/** A cache whose credential returns a token with `claims`, or text that is not a JWT. */
function cacheOf(first: object | string) {
  let serial = 0;
  const provider = {
    claims: first,
    async getToken(): Promise<AccessToken> {
      serial += 1;
      const { claims } = provider;
      const token = typeof claims === 'string' ? `${claims}-${serial}` : jwt({ ...claims, uti: serial });
      return { token, expiresOnTimestamp: Date.now() + 60 * MINUTE };
    },
  };
  const cache = new TokenCache(provider);
  return { provider, cache, tokens: new OnePrincipal(cache) };
}

/** Passing this time makes the cache refresh its token. */
const REFRESH_MS = 55 * MINUTE;

test.each([
  ['another object id', { tid: 't', oid: 'a' }, { tid: 't', oid: 'b' }],
  ['the same object id in another tenant', { tid: 't', oid: 'a' }, { tid: 'u', oid: 'a' }],
  ['another subject', { iss: 'i', sub: 'a' }, { iss: 'i', sub: 'b' }],
  ['another application', { appid: 'a' }, { appid: 'b' }],
  ['another application of a v2 token', { azp: 'a' }, { azp: 'b' }],
  ['a token that names none, after one that does', { tid: 't', oid: 'a' }, 'opaque'],
  ['a token that names one, after one that does not', 'opaque', { tid: 't', oid: 'a' }],
])('refuses %s, with a typed error', async (_, first, second) => {
  const { provider, cache, tokens } = cacheOf(first);
  const own = await tokens.get(SCOPE);
  provider.claims = second;
  await clock.pass(REFRESH_MS);
  await cache.get(SCOPE);
  await clock.settle();
  expect(cache.peek(SCOPE)?.id).not.toBe(own.id);

  // Its own token is still valid for a few minutes.
  expect(tokens.current(SCOPE)).toBe(own);
  expect(tokens.peek(SCOPE)).toBe(own);
  expect(await tokens.get(SCOPE)).toBe(own);
  expect(tokens.status(SCOPE)).toMatchObject({ current: own, failure: { code: 'ERR_PRINCIPAL_CHANGED' } });

  await clock.pass(5 * MINUTE);
  expect(tokens.current(SCOPE)).toBeUndefined();
  expect(tokens.peek(SCOPE)).toBeUndefined();
  const error = await tokens.get(SCOPE).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(PrincipalChangedError);
  expect(error).toMatchObject({ hint: expect.stringContaining('createTokenPools()') });
});

test.each([
  [
    'the same object id, whatever client, resource or name',
    { tid: 't', oid: 'a', sub: 's', appid: '1', upn: 'x' },
    { tid: 't', oid: 'a', sub: 'r', appid: '2' },
  ],
  ['tokens that name none: they cannot be compared', 'opaque', 'other'],
])('accepts %s', async (_, first, second) => {
  const { provider, cache, tokens } = cacheOf(first);
  const own = await tokens.get(SCOPE);
  provider.claims = second;
  await clock.pass(REFRESH_MS);
  await cache.get(SCOPE);
  await clock.settle();
  const next = tokens.current(SCOPE);
  expect(next).toBe(cache.peek(SCOPE));
  expect(next?.id).not.toBe(own.id);
});

test('continues when the credential returns to the first principal', async () => {
  const { provider, tokens } = cacheOf({ tid: 't', oid: 'a' });
  await tokens.get(SCOPE);
  for (const oid of ['b', 'a']) {
    provider.claims = { tid: 't', oid };
    await clock.pass(60 * MINUTE);
    await tokens.get(SCOPE).catch(() => undefined);
  }
  expect(tokens.current(SCOPE)?.principal).toContain('oid a');
});

test('does not use a token that the server has refused, even if it has no other', async () => {
  const { provider, cache, tokens } = cacheOf({ tid: 't', oid: 'a' });
  const own = await tokens.get(SCOPE);
  provider.claims = { tid: 't', oid: 'b' };
  await clock.pass(REFRESH_MS);
  await cache.get(SCOPE);
  await clock.settle();
  tokens.invalidate(own, SCOPE);
  expect(tokens.current(SCOPE)).toBeUndefined();
  await expect(tokens.get(SCOPE)).rejects.toMatchObject({ code: 'ERR_PRINCIPAL_CHANGED' });
});

test('a new pool with the same credential is bound to the principal of its own first token', async () => {
  const { provider, cache, tokens } = cacheOf({ tid: 't', oid: 'a' });
  await tokens.get(SCOPE);
  provider.claims = { tid: 't', oid: 'b' };
  await clock.pass(61 * MINUTE);
  await expect(tokens.get(SCOPE)).rejects.toMatchObject({ code: 'ERR_PRINCIPAL_CHANGED' });
  expect((await new OnePrincipal(cache).get(SCOPE)).principal).toContain('oid b');
});

test('prints only safe text to identify a principal', async () => {
  const { provider, tokens } = cacheOf({ tid: 't', oid: 'a' });
  await tokens.get(SCOPE);
  for (const oid of ['line\nbreak', '\u001b[31m', 'x'.repeat(100_000)]) {
    provider.claims = { tid: 't', oid };
    await clock.pass(61 * MINUTE);
    const { message } = (await new Promise((resolve) => tokens.get(SCOPE).catch(resolve))) as Error;
    expect(message).toContain('an unprintable name');
    expect(message.length).toBeLessThan(400);
  }
});

test.each([
  ['a number', { oid: 7 }],
  ['an empty text', { oid: '' }],
  ['no claim at all', {}],
])('%s is not the name of a principal', (_, claims) => {
  expect(principalOf(jwt(claims))).toBeUndefined();
});

test.each<[string, object]>([
  ['oid o of t', { tid: 't', iss: 'i', oid: 'o', sub: 's', appid: 'a' }],
  ['sub s of i', { iss: 'i', sub: 's', appid: 'a' }],
  ['appid a of t', { tid: 't', appid: 'a', azp: 'b' }],
  ['appid b of t', { tid: 't', azp: 'b' }],
  ['oid o of an unnamed tenant', { oid: 'o' }],
])('the principal is %s in a token with %j', (principal, claims) => {
  expect(principalOf(jwt(claims))).toBe(principal);
});

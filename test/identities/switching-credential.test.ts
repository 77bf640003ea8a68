import { expect, test } from 'vitest';
import { identityOf } from '../../src/credentials/identity.js';
import { switchingCredential } from '../../src/identities/switching-credential.js';
import type { AccessToken, TokenCredential } from '../../src/index.js';

/** A token, with claims about its principal if they are given. */
function tokenOf(name: string | undefined): AccessToken {
  const text = name === undefined ? 'opaque' : jwt({ tid: 'contoso', oid: name });
  return { token: text, expiresOnTimestamp: Date.now() + 3_600_000 };
}

function jwt(claims: object): string {
  return ['{"alg":"none"}', JSON.stringify(claims), 's']
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.');
}

function credentialOf(name: string | undefined): TokenCredential & { asked: unknown[] } {
  const asked: unknown[] = [];
  return {
    asked,
    async getToken(...call) {
      asked.push(call);
      return tokenOf(name);
    },
  };
}

const anotherPrincipal = {
  code: 'ERR_CREDENTIAL_REJECTED',
  message: "The token is for a principal other than this pool's; it was not used.",
  hint: expect.stringContaining('its own key'),
};

test('passes each request on to the latest credential of the same principal', async () => {
  const [first, next] = [credentialOf('ada'), credentialOf('ada')];
  const { credential, switchTo } = switchingCredential(first);
  expect((await credential.getToken('a', { claims: 'c' }))?.token).toBe(tokenOf('ada').token);
  expect(first.asked).toEqual([['a', { claims: 'c' }]]);
  switchTo(next);
  await credential.getToken(['a', 'b']);
  expect(first.asked).toHaveLength(1);
  expect(next.asked).toEqual([['a b', {}]]);
  expect(credential.principal.method).toBe('one-of-many');
});

test.each(['bob', undefined])('P9: a token of another principal is refused (%s)', async (name) => {
  const { credential, switchTo, check } = switchingCredential(credentialOf('ada'));
  await credential.getToken('a');
  switchTo(credentialOf(name));
  await expect(credential.getToken('a')).rejects.toMatchObject(anotherPrincipal);
  expect(() => check(tokenOf(name).token)).toThrow(expect.objectContaining(anotherPrincipal));
  expect(() => check(tokenOf('ada').token)).not.toThrow();
});

test('accepts tokens without claims about their principal', async () => {
  const { credential, switchTo } = switchingCredential(credentialOf(undefined));
  await credential.getToken('a');
  switchTo(credentialOf(undefined));
  expect((await credential.getToken('a'))?.token).toBe('opaque');
});

test('rejects when the credential has no token', async () => {
  const { credential } = switchingCredential({ getToken: async () => null });
  expect(await credential.getToken('a')).toBeNull();
});

test("uses the first credential's timeout, and shares its tokens with no other pool", () => {
  const first = Object.assign(credentialOf('ada'), { requestTimeoutMs: 120_000 });
  const [one, other] = [switchingCredential(first).credential, switchingCredential(first).credential];
  expect(one.requestTimeoutMs).toBe(120_000);
  expect(identityOf(one)).not.toBe(identityOf(other));
  expect(identityOf(one)).not.toBe(identityOf(first));
});

import { beforeEach, expect, test, vi } from 'vitest';
import { AssertionCheck } from '../../src/identities/assertion-check.js';
import type { TokenCredential } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';

const clock = clockPerTest();

const SCOPE = 'https://database.windows.net/.default';
const HOUR = 3_600_000;

let check: AssertionCheck;
/** What Entra was asked with. */
let asked: string[];

beforeEach(() => {
  check = new AssertionCheck(3);
  asked = [];
});

function jwt(claims: Record<string, unknown>): string {
  return `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.sig`;
}

function assertionOf(user: string, claims: Record<string, unknown> = {}): string {
  return jwt({ tid: 'tenant', oid: user, exp: Date.now() / 1000 + 3_600, ...claims });
}

/** A credential whose token is for `user`, or that is refused. */
function credential(assertion: string, user: string | undefined, lifeMs = HOUR): TokenCredential {
  return {
    getToken: async () => {
      asked.push(assertion);
      if (user === undefined) throw new Error('AADSTS50013');
      return { token: jwt({ tid: 'tenant', oid: user, nonce: assertion }), expiresOnTimestamp: Date.now() + lifeMs };
    },
  };
}

function prove(key: string, userAssertion: string, user: string | undefined = key, lifeMs?: number) {
  return check.prove(key, { userAssertion, credential: () => credential(userAssertion, user, lifeMs) }, SCOPE, {});
}

test('a proven assertion is not sent again until it expires', async () => {
  const assertion = assertionOf('ada');
  const { token } = await prove('ada', assertion);
  await clock.pass(HOUR / 2);
  expect(await prove('ada', assertion)).toMatchObject({ token });
  expect(asked).toHaveLength(1);
  await clock.pass(HOUR / 2);
  await prove('ada', assertion);
  expect(asked).toHaveLength(2);
});

test('a proven assertion stays proven without a token', async () => {
  const assertion = assertionOf('ada');
  await prove('ada', assertion, 'ada', 60_000);
  await clock.pass(120_000);
  expect(await prove('ada', assertion)).toMatchObject({ token: undefined });
  expect(asked).toHaveLength(1);
});

test('an assertion without an expiry is believed for 5 minutes', async () => {
  const assertion = assertionOf('ada', { exp: undefined });
  await prove('ada', assertion);
  await clock.pass(300_000 - 1);
  await prove('ada', assertion);
  expect(asked).toHaveLength(1);
  await clock.pass(1);
  await prove('ada', assertion);
  expect(asked).toHaveLength(2);
});

test('an assertion is refused 5 minutes after its expiry, without a request', async () => {
  const assertion = assertionOf('ada');
  await clock.pass(HOUR + 300_000 - 1);
  await prove('ada', assertion);
  expect(asked).toHaveLength(1);
  await clock.pass(1);
  await expect(prove('ada', assertion)).rejects.toMatchObject({
    message: 'The assertion has expired.',
    hint: "Pass the access token of the user's current call.",
  });
  expect(asked).toHaveLength(1);
});

test('a token of a user other than the assertion names proves nothing', async () => {
  const assertion = assertionOf('ada');
  await expect(prove('ada', assertion, 'bob')).rejects.toThrow(
    'The token is not for the user named in the assertion; it was not used.',
  );
  await expect(prove('ada', assertion, 'bob')).rejects.toThrow('not for the user named');
});

test('one key has its proofs, another key does not', async () => {
  const assertion = assertionOf('ada');
  await prove('ada', assertion);
  await prove('key:other', assertion, 'ada');
  expect(asked).toHaveLength(2);
});

test('the 16 assertions of a user that were used last are remembered', async () => {
  const assertions = Array.from({ length: 17 }, (_, i) => assertionOf('ada', { i }));
  for (const assertion of assertions.slice(0, 16)) await prove('ada', assertion);
  await prove('ada', assertions[0] as string);
  await prove('ada', assertions[16] as string);
  expect(asked).toHaveLength(17);
  await prove('ada', assertions[0] as string);
  expect(asked).toHaveLength(17);
  await prove('ada', assertions[1] as string);
  expect(asked).toHaveLength(18);
});

test('the users that were seen last are remembered, as many as there may be pools', async () => {
  const of = (user: string) => assertionOf(user, { exp: 2_000_000_000 });
  for (const user of ['a', 'b', 'c', 'a', 'd']) await prove(user, of(user));
  expect(asked).toHaveLength(4);
  for (const user of ['a', 'c', 'd']) await prove(user, of(user));
  expect(asked).toHaveLength(4);
  await prove('b', of('b'));
  expect(asked).toHaveLength(5);
});

test('refused assertions displace each other, never a proven one', async () => {
  const good = assertionOf('ada');
  await prove('ada', good);
  const first = assertionOf('ada', { i: 0 });
  await prove('ada', first, undefined as never).catch(() => {});
  for (let i = 1; i <= 1_000; i += 1) {
    await check
      .prove(
        'ada',
        { userAssertion: assertionOf('ada', { i }), credential: () => credential(`forged ${i}`, undefined) },
        SCOPE,
        {},
      )
      .catch(() => {});
  }
  const before = asked.length;
  await prove('ada', good);
  expect(asked).toHaveLength(before);
});

test('at most 1,000 assertions are checked at once', async () => {
  const hang: TokenCredential = { getToken: () => new Promise(() => {}) };
  const show = (i: number) =>
    check.prove('ada', { userAssertion: assertionOf('ada', { i }), credential: () => hang }, SCOPE, {});
  for (let i = 0; i < 1_000; i += 1) void show(i).catch(() => {});
  await expect(show(1_000)).rejects.toMatchObject({
    code: 'ERR_LIMIT_REACHED',
    message: '1000 assertions are being checked at once.',
    hint: expect.stringContaining('Verify the signature'),
  });
  // The one that is being checked already is shared.
  const again = vi.fn();
  void check
    .prove('ada', { userAssertion: assertionOf('ada', { i: 5 }), credential: again }, SCOPE, {})
    .catch(() => {});
  expect(again).not.toHaveBeenCalled();
  await clock.pass(10_000);
  await expect(prove('bob', assertionOf('bob'))).resolves.toMatchObject({ token: expect.anything() });
});

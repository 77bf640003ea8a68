import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createCredential, OnBehalfOfTokens, sharedTokenCache } from '../../../src/index.js';
import {
  type EntraEmulator,
  makeCertificate,
  startEntraEmulator,
  type UserAccount,
} from '../../../src/testing/index.js';
import { printed } from '../printed.js';

const SCOPE = 'https://database.windows.net/.default';
const certificate = makeCertificate({ commonName: 'api', keyType: 'rsa' });
let entra: EntraEmulator;
let ada: UserAccount;
let bob: UserAccount;

beforeAll(async () => {
  entra = await startEntraEmulator({ app: { certificates: [certificate.cert] } });
  [ada, bob] = [entra.addUser(), entra.addUser()];
});
afterEach(() => entra.heal());
afterAll(() => entra.close());

function application() {
  return { tenantId: entra.tenantId, clientId: entra.clientId, clientSecret: entra.clientSecret, authority: entra.url };
}

/** The token with which a user calls the API. */
function callOf(user: UserAccount, expiresInSeconds = 3600): string {
  return entra.issueToken({ principal: user, audience: `api://${entra.clientId}`, expiresInSeconds });
}

function upn(token: string): unknown {
  return (entra.verify(token, { audience: 'https://database.windows.net' }) as { upn?: string }).upn;
}

test("returns the calling user's token, authenticated by secret or certificate", async () => {
  const { clientSecret, ...app } = application();
  for (const proof of [{ clientSecret }, { certificate: certificate.key + certificate.cert }]) {
    const credential = createCredential({ ...app, ...proof, userAssertion: callOf(ada) });
    expect(upn((await credential.getToken(SCOPE))?.token ?? '')).toBe(ada.userName);
    expect(credential.principal.method).toBe('on-behalf-of');
  }
});

test('two users never share a token cache, but two calls of one user do', () => {
  const cacheOf = (userAssertion: string) => sharedTokenCache(createCredential({ ...application(), userAssertion }));
  const [call, another] = [callOf(ada), callOf(bob)];
  expect(cacheOf(call)).not.toBe(cacheOf(another));
  expect(cacheOf(call)).toBe(cacheOf(call));
});

test('keeps users separate and makes one request for each', async () => {
  const people = new OnBehalfOfTokens(application());
  const calls = [ada, bob].map((user) => ({ user, assertion: callOf(user) }));
  const before = entra.requests.length;
  await Promise.all(
    Array.from({ length: 100 }, async (_, i) => {
      const { user, assertion } = calls[i % 2] as (typeof calls)[number];
      expect(upn((await people.for(assertion).getToken()).token)).toBe(user.userName);
    }),
  );
  expect(entra.requests.length - before).toBe(2);
  expect(people.size).toBe(2);
});

test('an assertion that is refused does not block another user', async () => {
  const people = new OnBehalfOfTokens(application());
  const elsewhere = entra.issueToken({ principal: ada, audience: 'https://graph.microsoft.com' });
  await expect(people.for(elsewhere).getToken()).rejects.toMatchObject({ aadsts: 500131 });
  expect(upn((await people.for(callOf(bob)).getToken()).token)).toBe(bob.userName);
});

test('P5: a 429 pauses the application for all of its users; their tokens in the cache serve them', async () => {
  // An application of its own: the pause is for the whole process.
  await using throttling = await startEntraEmulator();
  const { tenantId, clientId, clientSecret, url: authority } = throttling;
  const callOf = (user: UserAccount) => throttling.issueToken({ principal: user, audience: `api://${clientId}` });
  const people = new OnBehalfOfTokens({ tenantId, clientId, clientSecret, authority });
  const known = callOf(throttling.addUser());
  const { token } = await people.for(known).getToken();
  throttling.fail({ status: 429, retryAfter: 60 });
  for (let i = 0; i < 20; i += 1) {
    await expect(people.for(callOf(throttling.addUser())).getToken()).rejects.toMatchObject({
      code: 'ERR_TOKEN_THROTTLED',
      retryAfterMs: expect.toSatisfy((ms: number) => ms > 30_000 && ms <= 73_000),
    });
  }
  expect(throttling.requests).toHaveLength(2);
  expect((await people.for(known).getToken()).token).toBe(token);
});

test('drops the least recently used user', () => {
  const people = new OnBehalfOfTokens(application(), { maxUsers: 3 });
  const [one, ...others] = [1, 2, 3].map((n) => people.for(`assertion-${n}`));
  people.for('assertion-1');
  people.for('assertion-4');
  expect(people.size).toBe(3);
  expect(people.for('assertion-1')).toBe(one);
  expect(people.for('assertion-2')).not.toBe(others[0]);
});

test('an assertion that has expired, or is for another application, requires interaction', async () => {
  const ended = createCredential({ ...application(), userAssertion: callOf(ada, -60) });
  await expect(ended.getToken(SCOPE)).rejects.toMatchObject({ code: 'ERR_INTERACTION_REQUIRED', aadsts: 500133 });
  const elsewhere = entra.issueToken({ principal: ada, audience: 'https://graph.microsoft.com' });
  const error = await createCredential({ ...application(), userAssertion: elsewhere })
    .getToken(SCOPE)
    .catch((e) => e);
  expect(error).toMatchObject({ aadsts: 500131, hint: expect.stringContaining('clientId') });
  expect(printed(error)).not.toContain(elsewhere);
});

test('is rejected at once without a client secret, certificate or assertion', () => {
  const { clientSecret: _, ...app } = application();
  expect(() => createCredential({ ...app, userAssertion: 'x' })).toThrow(/Set one of 'clientSecret'/);
  expect(() => new OnBehalfOfTokens(app)).toThrow(/Set one of 'clientSecret'/);
  expect(() => new OnBehalfOfTokens(application(), { maxUsers: 0 })).toThrow(/'maxUsers'/);
});

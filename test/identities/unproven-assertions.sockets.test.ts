import { expect, test } from 'vitest';
import { query } from '../support/query.js';
import { type Api, api } from '../support/user-api.js';

const whoAmI = (connection: Parameters<typeof query>[0]) =>
  query(connection, 'SELECT SUSER_SNAME()').then((rows) => rows[0]?.[0]);

/** The assertion with another signature, and other claims if given: it names its user, and proves nothing. */
function forged(assertion: string, claims: Record<string, unknown> = {}): string {
  const [header, payload = ''] = assertion.split('.');
  const all = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), ...claims };
  const changed = Buffer.from(JSON.stringify(all)).toString('base64url');
  return `${header}.${changed}.${Buffer.from(`forged ${Math.random()}`).toString('base64url')}`;
}

async function refused({ pools }: Api, userAssertion: string): Promise<void> {
  await expect(pools.for({ userAssertion }).acquire()).rejects.toMatchObject({ aadsts: 50013 });
}

test('forged assertions close no pool of a proven user', async () => {
  await using a = await api({ maxPools: 5 });
  const assertions = Array.from({ length: 5 }, () => a.callOf(a.entra.addUser()));
  for (const userAssertion of assertions) await a.pools.for({ userAssertion }).use(whoAmI);
  expect(a.server.logins).toHaveLength(5);
  for (let i = 0; i < 20; i += 1) await refused(a, forged(a.callOf(a.entra.addUser())));
  expect(a.pools.stats).toMatchObject({ pools: 5, size: 5 });
  for (const userAssertion of assertions) await a.pools.for({ userAssertion }).use(whoAmI);
  expect(a.server.logins).toHaveLength(5);
});

test('forged assertions take no connection from a proven user', async () => {
  await using a = await api({ maxConnections: 2 });
  const assertions = Array.from({ length: 2 }, () => a.callOf(a.entra.addUser()));
  for (const userAssertion of assertions) await a.pools.for({ userAssertion }).use(whoAmI);
  for (let i = 0; i < 5; i += 1) await refused(a, forged(a.callOf(a.entra.addUser())));
  expect(a.pools.stats).toMatchObject({ pools: 2, size: 2 });
});

test('assertions forged in the name of a user do not make Entra be asked again for that user', async () => {
  await using a = await api();
  const real = a.callOf(a.entra.addUser());
  await a.pools.for({ userAssertion: real }).use(whoAmI);
  for (let i = 0; i < 20; i += 1) await refused(a, forged(real));
  const before = a.entra.requests.length;
  for (let i = 0; i < 5; i += 1) await a.pools.for({ userAssertion: real }).use(whoAmI);
  expect(a.entra.requests).toHaveLength(before);
  expect(a.server.logins).toHaveLength(1);
});

test('a repeated forged assertion is sent to Entra once per back-off', async () => {
  await using a = await api();
  const assertion = forged(a.callOf(a.entra.addUser()));
  for (let i = 0; i < 5; i += 1) await refused(a, assertion);
  expect(a.entra.requests).toHaveLength(1);
});

test('an assertion whose token is for another user opens nothing', async () => {
  await using a = await api();
  const [ada, bob] = [a.entra.addUser(), a.entra.addUser()];
  const bobs = a.callOf(bob);
  await a.pools.for({ userAssertion: bobs, key: 'bob' }).use(whoAmI);
  // With a key, the application vouches for the user, and the first token of the key counts.
  await expect(a.pools.for({ userAssertion: a.callOf(ada), key: 'bob' }).acquire()).rejects.toThrow(
    "The token is for a principal other than this pool's; it was not used.",
  );
  expect(a.server.logins).toHaveLength(1);
});

test('an expired assertion is refused without a request', async () => {
  await using a = await api();
  const expired = forged(a.callOf(a.entra.addUser()), { exp: Math.floor(Date.now() / 1000) - 301 });
  await expect(a.pools.for({ userAssertion: expired }).acquire()).rejects.toThrow('The assertion has expired.');
  expect(a.entra.requests).toEqual([]);
});

test('the proof of a user survives the close of the idle pool', async () => {
  await using a = await api({ maxPools: 1 });
  const [ada, bob] = [a.callOf(a.entra.addUser()), a.callOf(a.entra.addUser())];
  for (const userAssertion of [ada, bob, ada, bob]) await a.pools.for({ userAssertion }).use(whoAmI);
  expect(a.server.logins).toHaveLength(4);
  expect(a.entra.requests).toHaveLength(2);
});

test('a credential that obtains no token closes no pool either', async () => {
  await using a = await api({ maxPools: 1 });
  await a.pools.for({ userAssertion: a.callOf(a.entra.addUser()) }).use(whoAmI);
  const { tenantId, clientId, url: authority } = a.entra;
  const wrong = { tenantId, clientId, clientSecret: 'wrong', authority };
  await expect(a.pools.for({ authentication: wrong }).acquire()).rejects.toMatchObject({ aadsts: 7000215 });
  await expect(a.pools.for({ authentication: wrong, key: 'x' }).acquire()).rejects.toMatchObject({ aadsts: 7000215 });
  expect(a.pools.stats).toMatchObject({ pools: 1, size: 1 });
});

test('a proven user keeps using open connections while the identity provider is down', async () => {
  await using a = await api();
  const userAssertion = a.callOf(a.entra.addUser());
  await a.pools.for({ userAssertion }).use(whoAmI);
  a.entra.fail({ status: 503 });
  await a.pools.for({ userAssertion }).use(whoAmI);
});

test('an abort ends the proof for that caller', async () => {
  await using a = await api();
  a.entra.fail({ hang: true });
  const abort = new AbortController();
  const waiting = a.pools.for({ userAssertion: a.callOf(a.entra.addUser()) }).acquire({ signal: abort.signal });
  abort.abort(new Error('gone'));
  await expect(waiting).rejects.toMatchObject({ code: 'ERR_ABORTED' });
});

test('P5: while Entra throttles the application, new assertions of proven and other users send no request', async () => {
  await using a = await api();
  const ada = a.entra.addUser();
  const proven = a.callOf(ada);
  await a.pools.for({ userAssertion: proven }).use(whoAmI);
  a.entra.fail({ status: 429, retryAfter: 60 });
  const before = a.entra.requests.length;
  for (let i = 0; i < 10; i += 1) {
    for (const user of [ada, a.entra.addUser()]) {
      await expect(a.pools.for({ userAssertion: a.callOf(user, { i }) }).acquire()).rejects.toMatchObject({
        code: 'ERR_TOKEN_THROTTLED',
      });
    }
  }
  expect(a.entra.requests.length - before).toBe(1);
  await a.pools.for({ userAssertion: proven }).use(whoAmI);
});

test('of 40 assertions of one user, five are exchanged at once', async () => {
  await using a = await api();
  const ada = a.entra.addUser();
  a.entra.fail({ delayMs: 20 });
  const answered = Array.from({ length: 40 }, (_, i) =>
    a.pools.for({ userAssertion: a.callOf(ada, { i }) }).use(whoAmI),
  );
  expect(await Promise.all(answered)).toEqual(Array.from({ length: 40 }, () => ada.userName));
  const { requests } = a.entra;
  const atOnce = requests.map(
    ({ time }) =>
      requests.filter((other) => other.time <= time && (other.answeredAt ?? Number.POSITIVE_INFINITY) > time).length,
  );
  expect(requests).toHaveLength(40);
  expect(Math.max(...atOnce)).toBeLessThanOrEqual(5);
});

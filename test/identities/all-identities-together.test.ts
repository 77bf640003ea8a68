import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { registerIdentity } from '../../src/credentials/identity.js';
import { keyedIdentity } from '../../src/identities/identity-key.js';
import {
  type ConfigurationError,
  createTokenPools,
  encryptedTokenStore,
  type Identity,
  type TokenCredential,
} from '../../src/index.js';
import { drivenPools } from '../support/driven-pools.js';
import { driven, drivenWorld, outcome, pass, SECOND, settled } from '../support/driven-world.js';
import { whenFirst } from '../support/when-first.js';
import { FakeProvider } from '../tokens/fake-provider.js';
import { MemoryStore } from '../tokens/memory-store.js';

const world = drivenWorld();

const { many, of, borrow } = drivenPools(world);

test('evictAll() closes the idle connections of every identity, and borrowed ones when they are returned', async () => {
  const pools = many();
  const [ada, bob] = [of(pools, 'ada'), of(pools, 'bob')];
  const [adas, bobs] = [await borrow(ada), await borrow(bob)];
  ada.release(adas);
  pools.evictAll({ reason: 'the password has leaked' });
  await pass(SECOND);
  expect([driven(adas).closed, driven(bobs).closed]).toEqual([true, false]);
  bob.release(bobs);
  await pass(SECOND);
  expect(driven(bobs).closed).toBe(true);
});

test('suspend() holds the callers of every identity, of new ones as well, until resume()', async () => {
  const pools = many();
  const ada = of(pools, 'ada');
  ada.release(await borrow(ada));
  pools.suspend();
  const waiting = [ada, of(pools, 'bob')].map((identity) => outcome(identity.acquire()));
  await pass(5 * SECOND);
  expect(waiting.map(({ at }) => at)).toEqual([undefined, undefined]);
  pools.resume();
  await pass(SECOND);
  expect(waiting.map((each) => settled(each) !== undefined)).toEqual([true, true]);
  const carol = await borrow(of(pools, 'carol'));
  expect(driven(carol).closed).toBe(false);
});

test('a listener may resume all identities when the first of them has been suspended, and the reverse', async () => {
  const pools = many();
  const identities = ['ada', 'bob', 'carol'].map((name) => of(pools, name));
  for (const identity of identities) identity.release(await borrow(identity));
  whenFirst('pool:suspended', () => pools.resume());
  pools.suspend();
  for (const identity of identities) identity.release(await borrow(identity));
  pools.suspend();
  whenFirst('pool:resumed', () => pools.suspend());
  pools.resume();
  const waiting = identities.map((identity) => outcome(identity.acquire()));
  await pass(SECOND);
  expect(waiting.map(({ at }) => at)).toEqual([undefined, undefined, undefined]);
  pools.resume();
  await pass(SECOND);
  expect(waiting.map(settled)).toHaveLength(3);
});

test('P7: nothing is left open when a listener closes the pools at the opening of one', async () => {
  const pools = many();
  const [ada, bob] = [of(pools, 'ada'), of(pools, 'bob')];
  ada.release(await borrow(ada));
  let closed = outcome(Promise.resolve());
  whenFirst('pool:opened', () => {
    closed = outcome(pools.close());
  });
  const caller = outcome(bob.acquire());
  await pass(SECOND);
  settled(closed);
  expect(caller.error).toMatchObject({ code: 'ERR_POOL_CLOSED' });
  expect(world.server.connections.size).toBe(0);
});

test('health() is that of all identities together, and down once the pools are closed', async () => {
  const pools = many();
  expect(pools.health()).toEqual({ status: 'ok', reasons: [] });
  const ada = of(pools, 'ada');
  ada.release(await borrow(ada));
  expect(pools.health()).toEqual({ status: 'ok', reasons: [] });
  pools.suspend();
  expect(pools.health()).toMatchObject({ status: 'degraded', reasons: [{ code: 'suspended' }] });
  pools.resume();
  const closed = outcome(pools.close());
  await pass(SECOND);
  settled(closed);
  expect(pools.health()).toEqual({ status: 'down', reasons: [{ code: 'closed', message: 'The pools are closed.' }] });
});

describe('pools.current', () => {
  test('releases and destroys the connections of the current identity', async () => {
    const pools = many();
    const ada = of(pools, 'ada');
    const first = await pools.run(ada, () => borrow(pools.current));
    pools.current.release(first);
    expect(driven(first).closed).toBe(false);
    const again = await pools.run(ada, () => borrow(pools.current));
    expect(again).toBe(first);
    pools.current.destroy(again);
    await pass(SECOND);
    expect(driven(first).closed).toBe(true);
  });

  test('an identity destroys its own connections', async () => {
    const ada = of(many(), 'ada');
    const connection = await borrow(ada);
    ada.destroy(connection);
    await pass(SECOND);
    expect(driven(connection).closed).toBe(true);
  });

  test('reports whether there is a current identity', () => {
    const pools = many();
    expect(pools.current.isForNoIdentity).toBe(true);
    expect(pools.run(of(pools, 'ada'), () => pools.current.isForNoIdentity)).toBe(false);
  });

  test('captures the stack of a checkout only with leak detection', () => {
    expect(many().current.captureStack).toBeUndefined();
    expect(many({ pool: { max: 1 } }).current.captureStack).toBeUndefined();
    expect(many({ pool: { leakDetectionMillis: 0 } }).current.captureStack).toBeUndefined();
    const { captureStack } = many({ pool: { leakDetectionMillis: 60_000 } }).current;
    function checkOut() {
      return captureStack?.(checkOut);
    }
    function orders() {
      return checkOut();
    }
    expect(orders()?.text).toMatch(/^orders /);
  });
});

/** The sentence that the user sees, and the hint below it. */
function refusal(refused: () => unknown): string {
  try {
    refused();
  } catch (error) {
    const { message, hint } = error as ConfigurationError;
    return hint === undefined ? message : `${message}\n  ${hint}`;
  }
  return 'accepted';
}

test('refusals in words', () => {
  const named = encryptedTokenStore(new MemoryStore(), { keys: randomBytes(32) }).named('one');
  const configs = [
    { maxConnections: 0 },
    { maxPools: 1.5 },
    { maxOpening: -1 },
    { maxPool: 3 },
    { user: 'sa' },
    { password: 'p' },
    { authentication_type: 'default' },
    { authentication: { type: 'default' } },
    { authentication: async () => 'token' },
    { authentication: null },
    { tokenStore: named },
    { readOnly: true },
  ].map((config) => refusal(() => createTokenPools({ server: 'host', ...config } as never)));
  const pools = many();
  const identities = [
    undefined,
    null,
    'ada',
    {},
    { key: '', authentication: new FakeProvider() },
    { key: 1, authentication: new FakeProvider() },
    { userAssertion: 'a', authentication: new FakeProvider() },
    { userAssertion: 'a' },
    { authentication: new FakeProvider(), keys: 'ada' },
  ].map((identity) => refusal(() => pools.for(identity as never)));
  const application = { tenantId: 't', clientId: 'c', clientSecret: 's' };
  const opaque = refusal(() => keyedIdentity({ userAssertion: 'opaque' }, { authentication: application }));
  const noFunction = refusal(() => pools.run(of(pools, 'ada'), undefined as never));
  expect(`\n${[...configs, ...identities, opaque, noFunction].join('\n')}\n`).toMatchInlineSnapshot(`
    "
    'maxConnections' must be a whole number, 1 or more.
    'maxPools' must be a whole number, 1 or more.
    'maxOpening' must be a whole number, 0 or more.
    The config has an unknown setting. Did you mean 'maxPools'?
      Rename it, or leave it out of the config for this library.
    The config of createTokenPools() must not contain a login; pass it to pools.for().
      'authentication' is the application that calls on behalf of its users: { tenantId, clientId, clientSecret }.
    The config of createTokenPools() must not contain a login; pass it to pools.for().
      'authentication' is the application that calls on behalf of its users: { tenantId, clientId, clientSecret }.
    The config of createTokenPools() must not contain a login; pass it to pools.for().
      'authentication' is the application that calls on behalf of its users: { tenantId, clientId, clientSecret }.
    The config of createTokenPools() must not contain a login; pass it to pools.for().
      'authentication' is the application that calls on behalf of its users: { tenantId, clientId, clientSecret }.
    The config of createTokenPools() must not contain a login; pass it to pools.for().
      'authentication' is the application that calls on behalf of its users: { tenantId, clientId, clientSecret }.
    The config of createTokenPools() must not contain a login; pass it to pools.for().
      'authentication' is the application that calls on behalf of its users: { tenantId, clientId, clientSecret }.
    'tokenStore' has a name, which stands for one principal; createTokenPools() has many.
      Pass the store without a name; identities that would need one do not use the store.
    'readOnly' has no effect in createTokenPools().
      createTokenPool() and ConnectionPool take it. Elsewhere, create a second pool with options.readOnlyIntent: true.
    pools.for() needs { userAssertion } or { authentication }.
    pools.for() needs { userAssertion } or { authentication }.
    pools.for() needs { userAssertion } or { authentication }.
    pools.for() needs { userAssertion } or { authentication }.
    The 'key' of an identity must be a non-empty string.
    The 'key' of an identity must be a non-empty string.
    pools.for() takes 'userAssertion' or 'authentication', not both.
      With both, it would be unclear whose connection it is. The application that calls on behalf of its users belongs in the config of createTokenPools().
    pools.for({ userAssertion }) needs 'authentication' in the config of the pools.
      The application that calls on behalf of its users: { tenantId, clientId, clientSecret }.
    pools.for() has no option 'keys'; it has userAssertion, authentication, key.
    The assertion does not identify its user: it has no tid and oid.
      Pass a 'key' that identifies the user.
    pools.run(identity, fn) needs a function.
      Only what the function starts runs for the identity: pools.run(identity, () => queries()).
    "
  `);
});

test('a store without a name, and a connection string, are accepted', async () => {
  const tokenStore = encryptedTokenStore(new MemoryStore(), { keys: randomBytes(32) });
  expect(many({ tokenStore }).stats.pools).toBe(0);
  const pools = many('Server=host;Max Pool Size=3');
  expect(pools.stats).toMatchObject({ maxPools: 1_000, maxConnections: 100 });
});

/** A credential that means the same principal in every process. */
function portableCredential(name: string): TokenCredential {
  const provider = new FakeProvider();
  const credential = { getToken: provider.getToken.bind(provider) };
  registerIdentity(credential, { method: 'of this test', parts: [name], portable: true });
  return credential;
}

test.each<[string, number, Identity]>([
  ['of a credential that other processes have too', 1, { authentication: portableCredential('a') }],
  ['of an identity that goes on with other credentials', 0, { authentication: portableCredential('b'), key: 'b' }],
  ['of a credential that only this process knows', 0, { authentication: new FakeProvider() }],
])('P9: the tokens %s are in the store: %i', async (_, count, identity) => {
  const store = new MemoryStore();
  const tokenStore = encryptedTokenStore(store, { keys: randomBytes(32) });
  const pool = many({ tokenStore }).for(identity);
  const acquired = outcome(pool.acquire());
  await pass(SECOND);
  pool.release(settled(acquired));
  expect(store.values.size).toBe(count);
});

describe('the key of an identity', () => {
  const application = { tenantId: 't', clientId: 'c', clientSecret: 's' };
  const assertion = (claims: object): string => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.s`;
  const ada = assertion({ tid: 'tenant', oid: 'ada' });

  test('is the user that an assertion names, whatever assertion it is', () => {
    const identity = keyedIdentity({ userAssertion: ada }, { authentication: application });
    expect(identity).toMatchObject({ key: 'user:tenant/ada', switches: true, userAssertion: ada });
    expect(identity.credential()).toHaveProperty('getToken');
  });

  test('may be given by the application, also for an assertion that names no user', () => {
    expect(keyedIdentity({ userAssertion: ada, key: 'a' }, { authentication: application })).toMatchObject({
      key: 'key:a',
    });
    expect(keyedIdentity({ userAssertion: 'opaque', key: 'a' }, { authentication: application })).toMatchObject({
      key: 'key:a',
    });
    const own = keyedIdentity({ authentication: new FakeProvider(), key: 'a' }, {});
    expect(own).toMatchObject({ key: 'key:a', switches: true, userAssertion: undefined });
  });

  test('is that of the credential otherwise, which stays', () => {
    const authentication = new FakeProvider();
    const [first, second, other] = [authentication, authentication, new FakeProvider()].map((each) =>
      keyedIdentity({ authentication: each }, {}),
    );
    expect(first).toMatchObject({ switches: false, userAssertion: undefined });
    expect(first?.credential()).toBe(first?.credential());
    expect(second?.key).toBe(first?.key);
    expect(other?.key).not.toBe(first?.key);
  });
});

test('a caller waits for the first token of its identity no longer than acquireTimeoutMillis, or until its signal fires', async () => {
  const pools = many({ pool: { acquireTimeoutMillis: 3 * SECOND } });
  const slow = () => {
    const provider = new FakeProvider();
    provider.delayMs = 9 * SECOND;
    return provider;
  };
  const late = outcome(pools.for({ authentication: slow(), key: 'ada' }).acquire());
  const end = new AbortController();
  const aborted = outcome(pools.for({ authentication: slow(), key: 'bob' }).acquire({ signal: end.signal }));
  await pass(SECOND);
  end.abort(new Error('the request was cancelled'));
  await pass(0);
  expect(aborted.error).toMatchObject({ code: 'ERR_ABORTED' });
  await pass(1_900);
  expect(late.at).toBeUndefined();
  await pass(200);
  expect(late.error).toMatchObject({ code: expect.stringMatching(/^ERR_/) });
  expect(pools.stats.pools).toBe(0);
});

test.each([null, 'ada', 7])('run() refuses %j as an identity', (identity) => {
  expect(() => many().run(identity as never, () => 1)).toThrow(
    'pools.for() needs { userAssertion } or { authentication }.',
  );
});

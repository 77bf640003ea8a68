import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import {
  AbortedError,
  ConfigurationError,
  type CredentialError,
  PoolClosedError,
  PrincipalChangedError,
  type TokenCredential,
} from '../../src/index.js';
import {
  borrowAtOnce,
  driven,
  drivenWorld,
  HOUR,
  live,
  MINUTE,
  outcome,
  pass,
  releaseAll,
  SECOND,
  settled,
  sqlLogin,
} from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, borrow, opened } = world;

interface Issuer extends TokenCredential {
  asked: number;
  delayMs: number;
  failure: Error | undefined;
}

let serial = 0;

/** A credential of a principal, or one whose tokens are opaque. */
function credentialOf(oid: string | undefined): Issuer {
  const issuer: Issuer = {
    asked: 0,
    delayMs: 0,
    failure: undefined,
    async getToken() {
      issuer.asked += 1;
      serial += 1;
      if (issuer.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, issuer.delayMs));
      if (issuer.failure !== undefined) throw issuer.failure;
      const claims = Buffer.from(JSON.stringify({ tid: 't', oid, uti: serial })).toString('base64url');
      const token = oid === undefined ? `opaque-${serial}` : `e30.${claims}.s`;
      return { token, expiresOnTimestamp: Date.now() + HOUR };
    },
  };
  return issuer;
}

test('connections are replaced one after the other, no caller waits, and the old credential is not asked again', async () => {
  const [before, after] = [credentialOf('a'), credentialOf('a')];
  const pool = aPool({ max: 4, idleTimeoutMillis: HOUR }, { authentication: before });
  await opened(pool, 4);
  const old = new Set(world.server.connections);
  const replaced = outcome(pool.replaceCredential(after));
  await pass(0);
  settled(replaced);
  // Every checkout is served at once.
  await live(pool, 10 * SECOND, 4, 100);
  expect([...world.server.connections].filter((connection) => old.has(connection))).toEqual([]);
  expect(pool.stats).toMatchObject({ size: 4, renewals: 4, failedLogins: 0, evictions: { renewed: 4 } });
  await pass(HOUR - MINUTE);
  expect(before.asked).toBe(1);
  expect(world.events.filter(({ name }) => name === 'pool:credential-replaced')).toHaveLength(1);
});

test('a borrowed connection is replaced when it is returned (P8)', async () => {
  const pool = aPool({ max: 1, idleTimeoutMillis: HOUR }, { authentication: credentialOf('a') });
  const [busy] = (await borrow(pool, 1)) as [Connection];
  const replaced = outcome(pool.replaceCredential(credentialOf('a')));
  await pass(MINUTE);
  settled(replaced);
  expect(driven(busy).closed).toBe(false);
  pool.release(busy);
  await pass(SECOND);
  expect(driven(busy).closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 1, failedLogins: 0 });
});

test('a dial that waits for the old credential continues with the new one', async () => {
  const [before, after] = [credentialOf('a'), credentialOf('a')];
  const pool = aPool({ max: 1 }, { authentication: before });
  before.delayMs = MINUTE;
  const waiting = outcome(pool.acquire());
  await pass(SECOND);
  const replaced = outcome(pool.replaceCredential(after));
  await pass(world.server.loginMs + 1);
  settled(replaced);
  pool.release(settled(waiting));
  expect(after.asked).toBe(1);
  expect(pool.stats).toMatchObject({ logins: 1, failedLogins: 0 });
  await pass(2 * MINUTE);
});

test('an old credential that fails no longer matters', async () => {
  const before = credentialOf('a');
  before.failure = new Error('AADSTS7000222: the secret has expired');
  const pool = aPool({ max: 1 }, { authentication: before });
  const refused = outcome(pool.acquire());
  await pass(SECOND);
  expect(refused.error).toBeDefined();
  const replaced = outcome(pool.replaceCredential(credentialOf('a')));
  await pass(0);
  settled(replaced);
  const [connection] = (await borrow(pool, 1)) as [Connection];
  pool.release(connection);
});

test.each<[string, string | undefined, string | undefined]>([
  ['another principal', 'a', 'b'],
  ['a principal that is not named', 'a', undefined],
  ['a principal that is not named instead of another', undefined, undefined],
  ['a principal that can be named only now', undefined, 'b'],
])('%s is refused, and the pool goes on with its credential', async (_, own, other) => {
  const before = credentialOf(own);
  const pool = aPool({ max: 2, idleTimeoutMillis: HOUR }, { authentication: before });
  await opened(pool, 2);
  const open = [...world.server.connections];
  const replaced = outcome(pool.replaceCredential(credentialOf(other)));
  await pass(MINUTE);
  expect(replaced.error).toBeInstanceOf(PrincipalChangedError);
  expect([...world.server.connections]).toEqual(open);
  releaseAll(pool, [await borrowAtOnce(pool)]);
});

test('a pool that has not had a token accepts any principal', async () => {
  const before = credentialOf('a');
  const pool = aPool({}, { authentication: before });
  const replaced = outcome(pool.replaceCredential(credentialOf('b')));
  await pass(0);
  settled(replaced);
  releaseAll(pool, await borrow(pool, 1));
  expect(before.asked).toBe(0);
});

test('a new credential that fails changes nothing', async () => {
  const pool = aPool({ idleTimeoutMillis: HOUR }, { authentication: credentialOf('a') });
  await opened(pool, 1);
  const after = credentialOf('a');
  after.failure = new Error('wrong secret');
  const replaced = outcome(pool.replaceCredential(after));
  await pass(MINUTE);
  expect((replaced.error as CredentialError).code).toMatch(/^ERR_/);
  expect(pool.stats).toMatchObject({ size: 1, renewals: 0 });
  releaseAll(pool, [await borrowAtOnce(pool)]);
});

test('of two calls at once, the later one counts', async () => {
  const pool = aPool({ idleTimeoutMillis: HOUR }, { authentication: credentialOf('a') });
  await opened(pool, 1);
  const [slow, quick] = [credentialOf('a'), credentialOf('a')];
  slow.delayMs = 5 * SECOND;
  const results = [outcome(pool.replaceCredential(slow)), outcome(pool.replaceCredential(quick))];
  await pass(2 * HOUR);
  results.map(settled);
  expect(slow.asked).toBe(1);
  releaseAll(pool, await borrow(pool, 1));
  expect(quick.asked).toBeGreaterThan(1);
});

test('the caller may give up; a pool of SQL logins and a closed pool reject the call', async () => {
  const pool = aPool({}, { authentication: credentialOf('a') });
  const slow = credentialOf('a');
  slow.delayMs = MINUTE;
  const controller = new AbortController();
  const replaced = outcome(pool.replaceCredential(slow, { signal: controller.signal }));
  await pass(SECOND);
  controller.abort();
  await pass(0);
  expect(replaced.error).toBeInstanceOf(AbortedError);
  await pass(2 * MINUTE);
  await expect(aPool({}, sqlLogin).replaceCredential(slow)).rejects.toBeInstanceOf(ConfigurationError);
  const closed = outcome(pool.close());
  await pass(0);
  settled(closed);
  await expect(pool.replaceCredential(slow)).rejects.toBeInstanceOf(PoolClosedError);
  await expect(aPool({}, { authentication: credentialOf('a') }).replaceCredential({} as never)).rejects.toBeInstanceOf(
    ConfigurationError,
  );
});

test.each([undefined, null])('refuses %s, which would select the default chain of credentials', async (nothing) => {
  await expect(world.aPool().replaceCredential(nothing as never)).rejects.toThrow(
    'replaceCredential() needs a credential.',
  );
});

test('the replacement is an event, and the connections to a replica are replaced too', async () => {
  const pool = aPool({ max: 2, overlap: 2 }, { authentication: credentialOf('a'), readOnly: true });
  const replica = outcome(pool.readOnly.acquire());
  await pass(SECOND);
  const old = settled(replica);
  pool.readOnly.release(old);
  await pool.replaceCredential(credentialOf('a'));
  expect(world.events.filter(({ name }) => name === 'pool:credential-replaced')).toEqual([
    {
      name: 'pool:credential-replaced',
      payload: { pool: pool.name, identity: expect.any(String), tokenId: expect.any(String) },
    },
  ]);
  await pass(MINUTE);
  expect(driven(old).closed).toBe(true);
});

test('a pool that logs in without a token says what to do instead', async () => {
  const pool = aPool({ max: 1 }, sqlLogin);
  await expect(pool.replaceCredential(credentialOf('a'))).rejects.toMatchObject({
    message: expect.stringContaining(
      'This pool logs in without a token; replaceCredential() is for pools that use tokens.',
    ),
    hint: 'Create a new pool with the new login.',
  });
});

test.each<[object, string]>([
  [{ timeout: 1 }, "replaceCredential() has no option 'timeout'"],
  [{ timeoutMs: -1 }, "'timeoutMs' of replaceCredential()"],
  [{ signal: {} }, "'signal' of replaceCredential() must be an AbortSignal."],
])('options that cannot be used are refused: %j', async (options, message) => {
  const pool = aPool({ max: 1 });
  const credential = credentialOf('a');
  await expect(pool.replaceCredential(credential, options)).rejects.toMatchObject({
    code: 'ERR_CONFIGURATION',
    message: expect.stringContaining(message),
  });
  expect(credential.asked).toBe(0);
});

test('the new credential has timeoutMs for its token', async () => {
  const pool = aPool({ max: 1 }, { authentication: credentialOf('a') });
  const slow = credentialOf('a');
  slow.delayMs = 5 * SECOND;
  const startedAt = performance.now();
  const failed = outcome(pool.replaceCredential(slow, { timeoutMs: SECOND }));
  await pass(4 * SECOND);
  expect(() => settled(failed)).toThrow();
  expect((failed.at ?? 0) - startedAt).toBe(SECOND);
});

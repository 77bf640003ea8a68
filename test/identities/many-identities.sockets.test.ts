import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { ConfigurationError, createTokenPools, type TokenPoolsConfig } from '../../src/index.js';
import { ConnectionPool } from '../../src/mssql/index.js';
import { query } from '../support/query.js';
import { api } from '../support/user-api.js';

const whoAmI = (connection: Parameters<typeof query>[0]) =>
  query(connection, 'SELECT SUSER_SNAME()').then((rows) => rows[0]?.[0]);

test("each user's queries run as that user", async () => {
  await using a = await api();
  const users = [a.entra.addUser(), a.entra.addUser(), a.entra.addUser()];
  const seen = await Promise.all(users.map((user) => a.pools.for({ userAssertion: a.callOf(user) }).use(whoAmI)));
  expect(seen).toEqual(users.map((user) => user.userName));
  expect(a.pools.stats).toMatchObject({ pools: 3, size: 3, borrowed: 0 });
});

test('a new assertion of the same user keeps the pool and its connection', async () => {
  await using a = await api();
  const ada = a.entra.addUser();
  for (let call = 0; call < 3; call += 1) {
    expect(await a.pools.for({ userAssertion: a.callOf(ada, { call }) }).use(whoAmI)).toBe(ada.userName);
  }
  expect(a.pools.stats).toMatchObject({ pools: 1, size: 1 });
  expect(a.server.logins).toHaveLength(1);
  // Each assertion is shown to Entra once.
  expect(a.entra.requests).toHaveLength(3);
});

test('the same assertion again costs no token request', async () => {
  await using a = await api();
  const userAssertion = a.callOf(a.entra.addUser());
  await Promise.all(Array.from({ length: 20 }, () => a.pools.for({ userAssertion }).use(whoAmI)));
  expect(a.entra.requests).toHaveLength(1);
});

test('P9: a forged assertion does not open the way to the connections of the user it names', async () => {
  await using a = await api();
  const ada = a.entra.addUser();
  const real = a.callOf(ada);
  await a.pools.for({ userAssertion: real }).use(whoAmI);
  const [header, payload] = real.split('.');
  const forged = `${header}.${payload}.${Buffer.from('no signature of Entra').toString('base64url')}`;
  for (let attempt = 0; attempt < 3; attempt += 1) {
    await expect(a.pools.for({ userAssertion: forged }).acquire()).rejects.toMatchObject({ aadsts: 50013 });
  }
  expect(await a.pools.for({ userAssertion: real }).use(whoAmI)).toBe(ada.userName);
  expect(a.server.logins).toHaveLength(1);
});

test('P9: one key for two users is refused', async () => {
  await using a = await api();
  const [ada, bob] = [a.entra.addUser(), a.entra.addUser()];
  expect(await a.pools.for({ userAssertion: a.callOf(ada), key: 'me' }).use(whoAmI)).toBe(ada.userName);
  await expect(a.pools.for({ userAssertion: a.callOf(bob), key: 'me' }).acquire()).rejects.toThrow(
    /principal other than/,
  );
  expect(await a.pools.for({ userAssertion: a.callOf(ada), key: 'me' }).use(whoAmI)).toBe(ada.userName);
});

test("tenants with their own credentials: equal options share a pool, and another library's credential needs a key", async () => {
  await using a = await api();
  const { tenantId, clientId, clientSecret, url: authority } = a.entra;
  const other = a.entra.addApp({});
  const own = () => a.pools.for({ authentication: { tenantId, clientId, clientSecret, authority } });
  expect(await own().use(whoAmI)).toBe(clientId);
  expect(await own().use(whoAmI)).toBe(clientId);
  for (let call = 0; call < 2; call += 1) {
    const authentication = a.entra.credential(other.clientId);
    expect(await a.pools.for({ authentication, key: 'tenant-7' }).use(whoAmI)).toBe(other.clientId);
  }
  expect(a.pools.stats.pools).toBe(2);
  expect(a.server.logins).toHaveLength(2);
});

test('at the global limit, the least recently used idle pool is closed, and reopened when needed', async () => {
  await using a = await api({ maxConnections: 2, pool: { overlap: 0 } });
  const users = [a.entra.addUser(), a.entra.addUser(), a.entra.addUser()] as const;
  const of = users.map((user) => a.pools.for({ userAssertion: a.callOf(user) }));
  for (const pool of of) await pool.use(whoAmI);
  expect(a.pools.stats).toMatchObject({ pools: 2, size: 2 });
  expect(of.map((pool) => pool.stats.size)).toEqual([0, 1, 1]);
  expect(await of[0]?.use(whoAmI)).toBe(users[0].userName);
  expect(of.map((pool) => pool.stats.size)).toEqual([1, 0, 1]);
});

test('a pool in use is never closed for another; a waiting identity gets the returned permit', async () => {
  await using a = await api({ maxConnections: 1, pool: { overlap: 0 } });
  const [ada, bob] = [a.entra.addUser(), a.entra.addUser()];
  const adas = a.pools.for({ userAssertion: a.callOf(ada) });
  const connection = await adas.acquire();
  const waiting = a.pools.for({ userAssertion: a.callOf(bob) }).use(whoAmI);
  await expect.poll(() => a.pools.stats.pending).toBe(1);
  await sleep(200);
  expect(await whoAmI(connection)).toBe(ada.userName);
  adas.release(connection);
  expect(await waiting).toBe(bob.userName);
});

test('idle connections of a pool in use make way too', async () => {
  await using a = await api({ maxConnections: 3, pool: { overlap: 0, max: 3 } });
  const adas = a.pools.for({ userAssertion: a.callOf(a.entra.addUser()) });
  const borrowed = await Promise.all([adas.acquire(), adas.acquire(), adas.acquire()]);
  for (const connection of borrowed.slice(1)) adas.release(connection);
  const bob = a.entra.addUser();
  expect(await a.pools.for({ userAssertion: a.callOf(bob) }).use(whoAmI)).toBe(bob.userName);
  expect(adas.stats).toMatchObject({ size: 2, borrowed: 1 });
});

test('no identity starves the others: a greedy one yields at each return', async () => {
  await using a = await api({ maxConnections: 4, pool: { overlap: 0, max: 4 } });
  const greedy = a.pools.for({ userAssertion: a.callOf(a.entra.addUser()) });
  let done = false;
  const flood = Promise.all(
    Array.from({ length: 40 }, async () => {
      while (!done) {
        await greedy.use(whoAmI);
        const { size, opening } = a.pools.stats;
        expect(size + opening).toBeLessThanOrEqual(4);
      }
    }),
  );
  await expect.poll(() => greedy.stats.borrowed).toBe(4);
  const users = [a.entra.addUser(), a.entra.addUser(), a.entra.addUser()];
  for (let round = 0; round < 3; round += 1) {
    const seen = await Promise.all(users.map((user) => a.pools.for({ userAssertion: a.callOf(user) }).use(whoAmI)));
    expect(seen).toEqual(users.map((user) => user.userName));
  }
  done = true;
  await flood;
});

test('waiting at a limit ends with a typed error that says what to do, for connections and for pools', async () => {
  for (const bound of [{ maxConnections: 1 }, { maxPools: 1 }]) {
    await using a = await api({ ...bound, pool: { overlap: 0, acquireTimeoutMillis: 300 } });
    const adas = a.pools.for({ userAssertion: a.callOf(a.entra.addUser()) });
    // A busy machine may need more than the 300 ms for the first login, which goes on nevertheless.
    const connection = await vi.waitFor(() => adas.acquire(), { timeout: 20_000 });
    const error = await a.pools
      .for({ userAssertion: a.callOf(a.entra.addUser()) })
      .acquire()
      .catch((e) => e);
    expect(error).toMatchObject({
      code: 'ERR_LIMIT_REACHED',
      hint: expect.stringContaining(Object.keys(bound).join()),
    });
    adas.release(connection);
  }
});

test('the limit on pools: waiting callers are served in order when one becomes idle', async () => {
  await using a = await api({ maxPools: 1 });
  const adas = a.pools.for({ userAssertion: a.callOf(a.entra.addUser()) });
  const connection = await adas.acquire();
  const order: number[] = [];
  const waiting = [1, 2, 3].map((n) =>
    a.pools.for({ userAssertion: a.callOf(a.entra.addUser()) }).use(() => order.push(n)),
  );
  await expect.poll(() => a.pools.stats.pending).toBe(3);
  adas.release(connection);
  await Promise.all(waiting);
  expect(order).toEqual([1, 2, 3]);
  expect(a.pools.stats.pools).toBe(1);
});

test('pools.current uses the connections of the current identity, and rejects outside run()', async () => {
  await using a = await api();
  const users = [a.entra.addUser(), a.entra.addUser()];
  const handler = async (): Promise<unknown> => {
    await sleep(5);
    return a.pools.current.use(whoAmI);
  };
  const seen = await Promise.all(users.map((user) => a.pools.run({ userAssertion: a.callOf(user) }, handler)));
  expect(seen).toEqual(users.map((user) => user.userName));
  await expect(a.pools.current.use(whoAmI)).rejects.toThrow(/outside pools\.run/);
});

test("mssql's ConnectionPool over all identities runs requests and transactions as the current identity", async () => {
  await using a = await api();
  const users = [a.entra.addUser(), a.entra.addUser()];
  const db = await ConnectionPool.over(a.pools.current).connect();
  const handler = async (): Promise<unknown[]> => {
    const { recordset } = await db.request().query('SELECT SUSER_SNAME() AS name');
    const transaction = db.transaction();
    await transaction.begin();
    const again = await transaction.request().query('SELECT SUSER_SNAME() AS name');
    await transaction.commit();
    return [recordset[0]?.name, again.recordset[0]?.name];
  };
  const seen = await Promise.all(users.map((user) => a.pools.run({ userAssertion: a.callOf(user) }, handler)));
  expect(seen).toEqual(users.map((user) => [user.userName, user.userName]));
  await expect(db.request().query('SELECT 1')).rejects.toThrow(/outside pools\.run/);
  await db.close();
  expect(a.pools.stats.size).toBe(2);
});

test('closing rejects callers and leaves nothing open', async () => {
  await using a = await api();
  const adas = a.pools.for({ userAssertion: a.callOf(a.entra.addUser()) });
  await adas.use(whoAmI);
  await a.pools.close();
  await expect(adas.use(whoAmI)).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' });
  await expect.poll(() => a.server.connections.open).toBe(0);
});

test('rejects identities that cannot be distinguished, with a hint', async () => {
  await using a = await api();
  for (const [identity, message] of [
    [{}, /userAssertion/],
    [undefined, /userAssertion/],
    [null, /userAssertion/],
    ['opaque', /userAssertion/],
    [{ userAssertion: undefined }, /userAssertion/],
    [{ userAssertion: 'Bearer eyJ' }, /without 'Bearer'/],
    [{ userAssertion: 'opaque' }, /does not identify its user/],
    [{ userAssertion: 'opaque', key: '' }, /'key'/],
  ] as const) {
    expect(() => a.pools.for(identity as never)).toThrow(message);
    expect(() => a.pools.for(identity as never)).toThrow(ConfigurationError);
    expect(() => a.pools.run(identity as never, () => 'served')).toThrow(message);
  }
  expect(() => createTokenPools({ server: 'x', maxConnections: 0 })).toThrow(/maxConnections/);
});

test.each<[what: string, config: unknown]>([
  ['a connection string with a login', 'Server=x;Authentication=Active Directory Default'],
  ['a SQL login', { server: 'x', user: 'sa', password: 'p' }],
  ["tedious's form", { server: 'x', authentication: { type: 'azure-active-directory-default', options: {} } }],
])('a config that says who logs in is refused: %s', (_, config) => {
  expect(() => createTokenPools(config as TokenPoolsConfig)).toThrow(/must not contain a login/);
});

test('time spent waiting for a pool counts against acquireTimeoutMillis', async () => {
  const acquireTimeoutMillis = 1_500;
  await using a = await api({ maxPools: 1, pool: { max: 1, acquireTimeoutMillis } });
  const [ada, bob] = [a.entra.addUser(), a.entra.addUser()].map((user) => ({ userAssertion: a.callOf(user) }));
  const first = await a.pools.for(ada as { userAssertion: string }).acquire();
  const startedAt = performance.now();
  const served = a.pools.for(bob as { userAssertion: string }).acquire();
  const late = a.pools.for(bob as { userAssertion: string }).acquire();
  await sleep(acquireTimeoutMillis / 2);
  a.pools.for(ada as { userAssertion: string }).release(first);
  const connection = await served;
  await expect(late).rejects.toMatchObject({ name: 'AcquireTimeoutError', code: 'ERR_ACQUIRE_TIMEOUT' });
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(acquireTimeoutMillis - 1);
  a.pools.for(bob as { userAssertion: string }).release(connection);
});

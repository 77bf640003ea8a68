import { Redis } from 'ioredis';
import mysql, { type RowDataPacket } from 'mysql2/promise';
import pg from 'pg';
import { createClient } from 'redis';
import { describe, expect, onTestFinished, type TestContext, test, vi } from 'vitest';
import { TokenCache, type TokenCredential } from '../../src/index.js';
import { keepAuthenticated, redisCredentials } from '../../src/tokens/redis.js';
import { DrivenClock } from '../support/driven-clock.js';
import { hasMariaDb, MariaDbServer } from '../support/mariadb.js';
import { hasPostgres, PostgresServer } from '../support/postgres.js';
import { hasRedis, RedisServer } from '../support/redis.js';

const POSTGRES = 'https://ossrdbms-aad.database.windows.net/.default';
const OBJECT_ID = 'a0000000-0000-4000-8000-000000000001';
/** A refresh is due after two thirds of it. */
const LIFE_MS = 3_000;
const HOUR = 3_600_000;

interface Provider extends TokenCredential {
  requests: number;
  scopes: Set<string>;
}

/** Resolves when a token that the database accepts is also in the cache. */
const adopted = () => new Promise((resolve) => setTimeout(resolve, 50));

/** An identity provider whose latest token is the only password the database accepts. */
function provider(accept: (token: string) => Promise<unknown>, lifeMs: number): Provider {
  const credential: Provider = {
    requests: 0,
    scopes: new Set(),
    async getToken(scope: string | string[]) {
      credential.requests += 1;
      credential.scopes.add(String(scope));
      const claims = { tid: 'tenant', oid: OBJECT_ID, nonce: credential.requests };
      const token = `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.sig`;
      await accept(token);
      return { token, expiresOnTimestamp: Date.now() + lifeMs };
    },
  };
  return credential;
}

describe.skipIf(!hasPostgres)('PostgreSQL', () => {
  async function database(lifeMs: number) {
    const server = await PostgresServer.start();
    onTestFinished(() => server[Symbol.asyncDispose]());
    await server.admin('CREATE ROLE app LOGIN');
    // A PostgreSQL role has one password at a time, so it must not change during a login.
    let turn: Promise<unknown> = Promise.resolve();
    const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
      const done = turn.then(work);
      turn = done.then(adopted, adopted);
      return done;
    };
    const entra = provider((token) => inTurn(() => server.admin(`ALTER ROLE app PASSWORD '${token}'`)), lifeMs);
    const tokens = new TokenCache(entra);
    await tokens.get(POSTGRES);
    const pool = new pg.Pool({
      host: '127.0.0.1',
      port: server.port,
      user: 'app',
      database: 'postgres',
      password: tokens.passwordFor(POSTGRES),
      max: 10,
      idleTimeoutMillis: 10,
    });
    pool.on('error', () => {});
    // pg-pool listens for errors only on idle clients, not on one that it is closing when the server stops.
    pool.on('connect', (client) => client.on('error', () => {}));
    onTestFinished(() => pool.end());
    return { entra, pool, inTurn };
  }

  test('ten connections of pg.Pool log in with one token request', async () => {
    const { entra, pool } = await database(HOUR);
    const rows = await Promise.all(Array.from({ length: 10 }, () => pool.query('SELECT current_user, pg_sleep(0.1)')));
    expect(rows.map(({ rows: [row] }) => row.current_user)).toEqual(Array(10).fill('app'));
    expect(entra.requests).toBe(1);
    expect([...entra.scopes]).toEqual([POSTGRES]);
  });

  test('later connections log in with the current token, across several expiries', async () => {
    using clock = new DrivenClock(Date.now()).install({ timers: false });
    const { entra, pool, inTurn } = await database(HOUR);
    for (let queries = 0; queries < 18; queries += 1) {
      await inTurn(() => pool.query('SELECT 1'));
      // Idle connections are closed between two queries, so each one logs in.
      await expect.poll(() => pool.totalCount).toBe(0);
      // Less than the time between a refresh and the expiry.
      clock.freeze(HOUR / 9);
    }
    expect(entra.requests).toBeGreaterThanOrEqual(3);
  }, 30_000);

  test("the query fails with the identity provider's error, and back-off applies", async () => {
    using clock = new DrivenClock(Date.now()).install({ timers: false });
    const { entra, pool } = await database(HOUR);
    clock.freeze(HOUR);
    const failing = vi.spyOn(entra, 'getToken').mockRejectedValue(Object.assign(new Error('down'), { status: 503 }));
    for (let i = 0; i < 5; i += 1) {
      await expect(pool.query('SELECT 1')).rejects.toMatchObject({ code: 'ERR_TOKEN_UNAVAILABLE' });
    }
    expect(failing).toHaveBeenCalledTimes(1);
  });
});

describe.skipIf(!hasMariaDb)('MySQL (MariaDB)', () => {
  /** As docs/other-databases.md has it. */
  async function database() {
    const server = await MariaDbServer.start();
    onTestFinished(() => server[Symbol.asyncDispose]());
    const entra = provider(async (token) => server.accept(token), HOUR);
    const tokens = new TokenCache(entra);
    const password = tokens.passwordFor(POSTGRES);
    const pool = mysql.createPool({
      host: 'localhost',
      port: server.port,
      user: 'app',
      ssl: { ca: server.ca },
      connectionLimit: 10,
      authPlugins: { mysql_clear_password: () => async () => Buffer.from(`${await password()}\0`) },
    });
    onTestFinished(() => pool.end());
    return { entra, pool };
  }

  test('ten connections of a pool of mysql2 log in with one token request, over TLS', async () => {
    const { entra, pool } = await database();
    const sql =
      "SELECT CURRENT_USER() AS user, SLEEP(0.2) AS slept, (SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_version') AS tls";
    const results = await Promise.all(Array.from({ length: 10 }, () => pool.query<RowDataPacket[]>(sql)));
    for (const [[row]] of results) expect(row).toMatchObject({ user: 'app@%', tls: expect.stringMatching(/^TLSv1/) });
    expect(entra.requests).toBe(1);
    expect([...entra.scopes]).toEqual([POSTGRES]);
  });

  test('later connections log in with the current token, across several expiries', async () => {
    using clock = new DrivenClock(Date.now()).install({ timers: false });
    const { entra, pool } = await database();
    for (let logins = 0; logins < 18; logins += 1) {
      const connection = await pool.getConnection();
      const [[row]] = await connection.query<RowDataPacket[]>('SELECT 1 AS one');
      expect(row).toEqual({ one: 1 });
      connection.destroy();
      // Less than the time between a refresh and the expiry.
      clock.freeze(HOUR / 9);
      await adopted();
    }
    expect(entra.requests).toBeGreaterThanOrEqual(3);
  }, 30_000);
});

test.each([undefined, '', 5])('passwordFor(%j) is rejected', (scope) => {
  const tokens = new TokenCache({ getToken: async () => null });
  expect(() => tokens.passwordFor(scope as never)).toThrow('passwordFor() needs a scope');
});

describe.skipIf(!hasRedis)('Redis', () => {
  async function redis({ onTestFinished }: TestContext) {
    const server = await RedisServer.start('--requirepass', 'root');
    onTestFinished(() => server[Symbol.asyncDispose]());
    const admin = new Redis({ port: server.port, password: 'root' });
    onTestFinished(() => admin.disconnect());
    let accepted: string[] = [];
    const entra = provider((token) => {
      // The one before it may be on its way to the server.
      accepted = [...accepted.slice(-1), token];
      const passwords = accepted.map((each) => `>${each}`);
      return admin.acl('SETUSER', OBJECT_ID, 'on', 'resetpass', ...passwords, '~*', '+@all');
    }, LIFE_MS);
    const logins = async () => {
      const stats = await admin.info('commandstats');
      const count = (name: RegExp) => Number(name.exec(stats)?.[1] ?? 0);
      return { auth: count(/cmdstat_auth:calls=(\d+)/), failed: count(/cmdstat_auth:.*failed_calls=(\d+)/) };
    };
    return { port: server.port, admin, entra, tokens: new TokenCache(entra), logins };
  }

  // They wait for tokens to come to their end, so they wait together.
  test.concurrent('node-redis logs in, re-authenticates with each later token, and reconnects with the latest', async (context) => {
    const { expect } = context;
    const { port, admin, entra, tokens, logins } = await redis(context);
    const clients = Array.from({ length: 3 }, () =>
      createClient({ socket: { port, host: '127.0.0.1' }, credentialsProvider: redisCredentials(tokens) }),
    );
    for (const client of clients) {
      client.on('error', () => {});
      context.onTestFinished(() => client.destroy());
    }
    await Promise.all(clients.map((client) => client.connect()));
    expect(await clients[0]?.aclWhoAmI()).toBe(OBJECT_ID);
    expect(entra.requests).toBe(1);
    expect([...entra.scopes]).toEqual(['https://redis.azure.com/.default']);
    await expect.poll(() => entra.requests, { timeout: 15_000 }).toBeGreaterThanOrEqual(3);
    await expect.poll(async () => (await logins()).auth, { timeout: 5_000 }).toBeGreaterThanOrEqual(1 + 2 * 3);
    await admin.call('CLIENT', 'KILL', 'TYPE', 'NORMAL', 'SKIPME', 'YES');
    await expect.poll(() => clients[0]?.ping().catch(() => undefined), { timeout: 5_000 }).toBe('PONG');
    expect(await clients[0]?.aclWhoAmI()).toBe(OBJECT_ID);
    expect((await logins()).failed).toBe(0);
  });

  test.concurrent('ioredis logs in, re-authenticates with each later token, and reconnects with the latest', async (context) => {
    const { expect } = context;
    const { port, admin, entra, tokens, logins } = await redis(context);
    const client = new Redis({ port, lazyConnect: true, retryStrategy: () => 50 });
    client.on('error', () => {});
    const stop = await keepAuthenticated(client, tokens);
    context.onTestFinished(() => client.disconnect());
    context.onTestFinished(stop);
    await client.connect();
    expect(await client.acl('WHOAMI')).toBe(OBJECT_ID);
    expect(entra.requests).toBe(1);
    await expect.poll(() => entra.requests, { timeout: 15_000 }).toBeGreaterThanOrEqual(3);
    await expect.poll(async () => (await logins()).auth, { timeout: 5_000 }).toBeGreaterThanOrEqual(3);
    await admin.call('CLIENT', 'KILL', 'TYPE', 'NORMAL', 'SKIPME', 'YES');
    await expect.poll(() => client.acl('WHOAMI').catch(() => undefined), { timeout: 5_000 }).toBe(OBJECT_ID);
    expect((await logins()).failed).toBe(0);
    stop();
    const before = entra.requests;
    await new Promise((resolve) => setTimeout(resolve, LIFE_MS));
    expect(entra.requests).toBe(before);
  });

  test('a token without a principal requires a user name', async () => {
    const opaque = new TokenCache({ getToken: async () => ({ token: 't', expiresOnTimestamp: Date.now() + 60_000 }) });
    const listener = { onNext: () => {}, onError: () => {} };
    await expect(redisCredentials(opaque).subscribe(listener)).rejects.toMatchObject({
      code: 'ERR_CONFIGURATION',
      hint: expect.stringContaining('username'),
    });
    const [credentials, subscription] = await redisCredentials(opaque, { username: 'app' }).subscribe(listener);
    subscription.dispose();
    expect(credentials).toEqual({ username: 'app', password: 't' });
  });
});

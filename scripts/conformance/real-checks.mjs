import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { firstValue } from './query.mjs';

/**
 * What is checked on a real server, in order. `id` is that of the requirement in `mssql-token-pool/testing/conformance`, where there is one.
 * `run` resolves with facts for the report, and rejects with what happened instead.
 */
export const CHECKS = [
  { id: 'logs-in', title: 'Logs in', run: logsIn },
  { id: 'single-flight', title: 'Makes one token request for a burst of cold callers', run: singleFlight },
  {
    id: 'warm-hand-over',
    title: 'Replaces a connection before its token expires, so that no caller waits for the login',
    run: warmHandOver,
  },
  {
    id: 'serves-while-provider-fails',
    title: 'Keeps logging in with a valid token while the identity provider is down',
    run: servesWhileProviderFails,
  },
  { id: 'no-expired-login', title: 'Never logs in with an expired token', run: noExpiredLogin },
  {
    id: 'backs-off',
    title: 'Leaves a throttling identity provider alone for as long as Retry-After says',
    run: backsOff,
  },
  {
    id: 'no-retry-of-configuration-errors',
    title: 'Reports a database that does not exist at once, with its number, and does not retry it',
    run: missingDatabase,
  },
  { id: 'no-secret-in-errors', title: 'Keeps a refused token out of errors', run: refusedToken },
  { id: 'identity-isolation', title: 'Never gives a connection of one identity to another', run: identityIsolation },
  {
    id: 'bounded',
    title: 'Opens at most max + 1 connections and leaves none behind after close',
    run: bounded,
  },
  {
    id: 'keeps-borrowed',
    title: 'Never closes a borrowed connection because its token expires',
    run: keepsBorrowed,
  },
  { id: 'own-schema', title: 'Rolls a transaction back in a schema of its own, and drops the schema', run: ownSchema },
  { id: 'warm-checkout', title: 'Checks out a warm connection', run: warmCheckout },
];

/** Requirements that need faults which no client can cause on a real server. */
export const NOT_RUN = {
  'no-expired-session':
    'a real server ends a session at a time of its own; warm-hand-over shows that no session outlives its token in the pool',
  'replaces-refused-token': 'needs a server that refuses a valid token as expired',
  'waiters-settle': 'needs a server that accepts connections and does not answer',
};

async function logsIn(site) {
  const pool = site.pool(site.provider(), { max: 1 });
  const text = String(await pool.use((connection) => firstValue(connection, 'SELECT @@VERSION AS version')));
  // Product and version, without the machine name.
  return { version: text.split('\n', 1)[0].trim().slice(0, 120) };
}

async function singleFlight(site) {
  const provider = site.provider();
  const pool = site.pool(provider, { max: 20 });
  const borrowed = await Promise.all(Array.from({ length: 20 }, () => pool.acquire()));
  for (const connection of borrowed) pool.release(connection);
  expect(provider.requests === 1, `${provider.requests} token requests for 20 callers`);
  return { logins: new Set(borrowed).size };
}

async function warmHandOver(site) {
  const provider = site.provider(site.lifetimeMs);
  const pool = site.pool(provider, { max: 1 });
  const loginMs = await loginTime(pool);
  const since = new Map();
  let [longestMs, queries, oldestMs] = [0, 0, 0];
  await until(1.3 * site.lifetimeMs, 20, async () => {
    const startedAt = performance.now();
    await pool.use(async (connection) => {
      const now = performance.now();
      // The first checkout may be of the connection that loginTime() opened.
      if (since.size > 0) longestMs = Math.max(longestMs, now - startedAt);
      since.set(connection, since.get(connection) ?? now);
      oldestMs = Math.max(oldestMs, now - since.get(connection));
      await firstValue(connection, 'SELECT 1 AS one');
      queries += 1;
    });
  });
  if (provider.repeats) throw new NotReached('the credential returns the same token until shortly before it expires');
  expect(since.size > 1, 'no connection was replaced, although its token expired');
  expect(oldestMs < site.lifetimeMs, 'a query ran on a session after its token expired');
  const allowedMs = Math.max(50, 0.75 * loginMs);
  expect(longestMs < allowedMs, `a caller waited ${Math.round(longestMs)} ms; a login takes ${loginMs} ms`);
  return { loginMs, longestWaitMs: Math.ceil(longestMs), replaced: since.size - 1, queries };
}

/** Time of a login with a token that is there already, ms. */
async function loginTime(pool) {
  const first = await pool.acquire();
  pool.destroy(first);
  const startedAt = performance.now();
  pool.release(await pool.acquire());
  return Math.round(performance.now() - startedAt);
}

async function servesWhileProviderFails(site) {
  const provider = site.provider();
  const pool = site.pool(provider, { max: 2 });
  await pool.use((connection) => firstValue(connection, 'SELECT 1 AS one'));
  provider.fail({ statusCode: 503 });
  site.dropConnections();
  let [failures, attempts] = [0, 0];
  await until(1_000, 50, async () => {
    attempts += 1;
    await pool.use((connection) => firstValue(connection, 'SELECT 1 AS one')).catch(() => (failures += 1));
  });
  // The first query may get the connection that was just cut.
  expect(failures <= 2, `${failures} of ${attempts} queries failed`);
  return { queries: attempts };
}

async function noExpiredLogin(site) {
  const provider = site.provider(site.lifetimeMs);
  const pool = site.pool(provider, { max: 1, acquireTimeoutMillis: 10_000 });
  await pool.use((connection) => firstValue(connection, 'SELECT 1 AS one'));
  provider.fail({ statusCode: 503 });
  await sleep(site.lifetimeMs);
  site.dropConnections();
  await sleep(100);
  const error = await rejection(() => pool.acquire().then((connection) => pool.release(connection)));
  expect(error !== undefined, 'the pool logged in with an expired token');
  return { refused: factsOf(error) };
}

async function backsOff(site) {
  const provider = site.provider();
  provider.fail({ statusCode: 429, retryAfterMs: 30_000 });
  const pool = site.pool(provider, { max: 2, acquireTimeoutMillis: 500 });
  await until(2_000, 50, () => rejection(() => pool.acquire()));
  const { requests } = provider;
  expect(requests >= 1, 'the pool never asked for a token');
  expect(requests <= 2, `${requests} token requests within 2 s, with Retry-After: 30`);
  return { requests };
}

async function missingDatabase(site) {
  const provider = site.provider();
  const database = `missing_${randomBytes(4).toString('hex')}`;
  const pool = site.pool(provider, { max: 1, acquireTimeoutMillis: 30_000 }, { database });
  site.recount();
  const error = await rejection(() => pool.acquire());
  expect(error !== undefined, 'the login succeeded');
  expect(
    chainOf(error).some(({ number }) => typeof number === 'number'),
    'the error has no number',
  );
  expect(provider.requests <= 2, `${provider.requests} token requests for one caller`);
  expect(!provider.isIn(printed(error)), 'the error contains the token');
  return { refused: factsOf(error) };
}

async function refusedToken(site) {
  const secret = `not.a.${randomBytes(24).toString('hex')}`;
  const getToken = async () => ({ token: secret, expiresOnTimestamp: Date.now() + 3_600_000 });
  const pool = site.pool({ getToken }, { max: 1, acquireTimeoutMillis: 20_000 });
  const error = await rejection(() => pool.acquire());
  expect(error !== undefined, 'the login succeeded');
  expect(!printed(error).includes(secret), 'the error contains the token');
  return { refused: factsOf(error) };
}

async function identityIsolation(site) {
  // Two objects of one class are two identities, even if they get the same token.
  const providers = [site.provider(), site.provider()];
  const pools = providers.map((provider) => site.pool(provider, { max: 2 }));
  const connections = await Promise.all([...pools, ...pools].map((pool) => pool.acquire()));
  const ids = await Promise.all(connections.map((connection) => firstValue(connection, 'SELECT @@SPID AS spid')));
  connections.forEach((connection, i) => void pools[i % 2].release(connection));
  expect(new Set(connections).size === 4, 'two callers got the same connection');
  expect(new Set(ids).size === 4, 'two connections are one session');
  expect(
    providers.every(({ requests }) => requests === 1),
    'a pool logged in with the token of another identity',
  );
  const [first, second] = pools.map(() => new Set());
  await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const connection = await pools[i % 2].acquire();
      (i % 2 === 0 ? first : second).add(connection);
      pools[i % 2].release(connection);
    }),
  );
  expect(
    [...first].every((connection) => !second.has(connection)),
    'a connection was given to both identities',
  );
  return {};
}

async function bounded(site) {
  const max = 3;
  const pool = site.pool(site.provider(site.lifetimeMs), { max });
  site.recount();
  const callers = Array.from({ length: 9 }, () =>
    until(1.3 * site.lifetimeMs, 5, () => pool.use((connection) => firstValue(connection, 'SELECT 1 AS one'))),
  );
  await Promise.all(callers);
  expect(site.most <= max + 1, `${site.most} connections at once, with max: ${max}`);
  await pool.close();
  for (const end = performance.now() + 5_000; site.open > 0 && performance.now() < end; ) await sleep(20);
  expect(site.open === 0, `${site.open} connections are open after close`);
  return { most: site.most };
}

async function keepsBorrowed(site) {
  const pool = site.pool(site.provider(site.lifetimeMs), { max: 2 });
  await pool.use(async (connection) => {
    const before = await firstValue(connection, 'SELECT @@SPID AS spid');
    await until(1.1 * site.lifetimeMs, 50, () => pool.use((other) => firstValue(other, 'SELECT 1 AS one')));
    const after = await firstValue(connection, 'SELECT @@SPID AS spid').catch(() => undefined);
    expect(after === before, 'the borrowed connection was lost');
  });
  return {};
}

async function ownSchema(site) {
  const schema = `mtp_conformance_${randomBytes(6).toString('hex')}`;
  const pool = site.pool(site.provider(), { max: 1 });
  await pool.use(async (connection) => {
    site.schema = schema;
    await firstValue(connection, `CREATE SCHEMA ${schema}`);
    await firstValue(connection, `CREATE TABLE ${schema}.rows (n int NOT NULL)`);
    await firstValue(connection, `BEGIN TRANSACTION; INSERT INTO ${schema}.rows VALUES (1); ROLLBACK`);
    const rows = await firstValue(connection, `SELECT COUNT(*) AS n FROM ${schema}.rows`);
    expect(rows === 0, 'a transaction that was rolled back left a row');
  });
  await dropSchema(site);
  return {};
}

/** Drops the schema of this run, if there may be one. */
export async function dropSchema(site) {
  const { schema } = site;
  if (schema === undefined) return;
  const pool = site.pool(site.provider(), { max: 1, acquireTimeoutMillis: 10_000 });
  await pool.use(async (connection) => {
    await firstValue(connection, `DROP TABLE IF EXISTS ${schema}.rows`);
    await firstValue(connection, `DROP SCHEMA IF EXISTS ${schema}`);
  });
  site.schema = undefined;
}

async function warmCheckout(site) {
  const pool = site.pool(site.provider(), { max: 1 });
  const times = [];
  for (let i = 0; i < 200; i += 1) {
    const startedAt = performance.now();
    const connection = await pool.acquire();
    times.push(performance.now() - startedAt);
    pool.release(connection);
  }
  return { medianMs: Number(times.sort((a, b) => a - b)[100].toFixed(4)) };
}

/** A requirement is not met; the message says what happened instead, without names of the server or login. */
class NotMet extends Error {
  name = 'NotMet';
}

/** A requirement cannot be checked here. */
class NotReached extends Error {
  name = 'NotReached';
}

function expect(condition, seen) {
  if (!condition) throw new NotMet(seen);
}

async function until(durationMs, intervalMs, attempt) {
  for (const end = performance.now() + durationMs; performance.now() < end; await sleep(intervalMs)) await attempt();
}

async function rejection(attempt) {
  try {
    await attempt();
    return undefined;
  } catch (error) {
    return error;
  }
}

function printed(error) {
  return inspect(error, { depth: 12, showHidden: true }) + error.stack + JSON.stringify(chainOf(error));
}

function chainOf(error) {
  const chain = [];
  for (let each = error; each instanceof Error && chain.length < 16; each = each.cause) {
    chain.push({ message: each.message, number: each.number });
  }
  return chain;
}

/** The outcome of a check that threw. */
export function failureOf(error) {
  return error instanceof NotReached ? { notReached: error.message } : { passed: false, error: factsOf(error) };
}

/** Numbers and kinds of an error and its causes. Excludes messages, which may contain the server or login name. */
function factsOf(error) {
  const { name, code, number, state, class: severity, cause } = error;
  const seen = error instanceof NotMet ? error.message : undefined;
  const facts = { name, seen, code, number, state, class: severity };
  return cause instanceof Error ? { ...facts, cause: factsOf(cause) } : facts;
}

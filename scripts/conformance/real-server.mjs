import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { createCredential, createTokenPool } from 'mssql-token-pool';
import { firstValue } from './query.mjs';

const PLAN = `This run
  1. logs in with your own credential, once and then 20 times at once, and counts the token requests (1 is correct);
  2. logs in with an invalid token, and records number, state and class of the refusal;
  3. requests a database that does not exist, and records the same;
  4. creates a schema with a random name, a table in it, runs a transaction, and drops both;
  5. measures a warm checkout and a login;
  6. writes a report without tokens, server names or login names.
It reads and changes nothing else. Nothing is sent to anyone.`;

/** Checks this package against a real server, with the caller's own credential. */
export async function examineRealServer({ server, database, authentication, yes, output, ...flags }) {
  process.stdout.write(`${PLAN}\n`);
  if (database === undefined) fail('--database is missing: name the database to log in to.');
  if (!yes) {
    process.stdout.write('\nNothing has been done. Add --yes to go on.\n');
    return;
  }
  const target = { server, database, trustServerCertificate: flags['trust-server-certificate'] };
  const report = await examine(target, createCredential(authentication), (name, passed) =>
    process.stdout.write(`${passed ? 'ok  ' : 'FAIL'} ${name}\n`),
  );
  const file = output ?? 'conformance-report.json';
  await writeFile(file, `${JSON.stringify(report, null, 2)}\n`);
  process.stdout.write(`Written to ${file}.\n`);
  process.exitCode = report.steps.every(({ passed }) => passed) ? 0 : 1;
}

/** Runs every step of the plan; resolves with the report. */
export async function examine(target, credential, onStep = () => {}) {
  const steps = [];
  const step = async (name, run) => {
    const startedAt = performance.now();
    const outcome = await run().then(
      (facts) => ({ passed: true, ...facts }),
      (error) => ({ passed: false, error: factsOf(error) }),
    );
    steps.push({ name, ms: Math.round(performance.now() - startedAt), ...outcome });
    onStep(name, outcome.passed);
  };

  let requests = 0;
  const counted = {
    getToken: (scopes, options) => {
      requests += 1;
      return credential.getToken(scopes, options);
    },
  };
  const pool = createTokenPool({ ...target, authentication: counted, pool: { max: 20 } });
  try {
    await step('logs in', () => pool.use(async (connection) => ({ version: await version(connection) })));
    await step('logs in 20 times at once with one token request', async () => {
      const borrowed = await Promise.all(Array.from({ length: 20 }, () => pool.acquire()));
      for (const connection of borrowed) pool.release(connection);
      if (requests !== 1) throw new Error(`${requests} token requests`);
      return { requests };
    });
    await step('is refused with a token that is no token', () => refusal({ ...target, authentication: NO_TOKEN }));
    await step('is refused for a database that does not exist', () =>
      refusal({ ...target, database: `missing_${randomBytes(4).toString('hex')}`, authentication: credential }),
    );
    await step('runs a transaction in a schema of its own, and drops it', () => ownSchema(pool));
    await step('checks out a warm connection', async () => ({ medianMs: await warmCheckout(pool) }));
  } finally {
    await pool.close();
  }
  return { date: new Date().toISOString(), node: process.version, steps };
}

/** A broken identity provider: its token is invalid. */
const NO_TOKEN = { getToken: async () => ({ token: 'not.a.token', expiresOnTimestamp: Date.now() + 3_600_000 }) };

/** Product and version, without the machine name. */
async function version(connection) {
  const text = String(await firstValue(connection, 'SELECT @@VERSION AS version'));
  return text.split('\n', 1)[0].trim().slice(0, 120);
}

async function refusal(config) {
  const pool = createTokenPool({ ...config, pool: { max: 1, acquireTimeoutMillis: 20_000 } });
  try {
    const connection = await pool.acquire().catch((error) => ({ refused: factsOf(error) }));
    if (connection.refused === undefined) {
      pool.release(connection);
      throw new Error('the login succeeded');
    }
    return connection;
  } finally {
    await pool.close();
  }
}

async function ownSchema(pool) {
  const schema = `mtp_conformance_${randomBytes(6).toString('hex')}`;
  await pool.use(async (connection) => {
    await firstValue(connection, `CREATE SCHEMA ${schema}`);
    try {
      await firstValue(connection, `CREATE TABLE ${schema}.rows (n int NOT NULL)`);
      await firstValue(connection, `BEGIN TRANSACTION; INSERT INTO ${schema}.rows VALUES (1); ROLLBACK`);
      const rows = await firstValue(connection, `SELECT COUNT(*) AS n FROM ${schema}.rows`);
      if (rows !== 0) throw new Error('a transaction that was rolled back left a row');
    } finally {
      await firstValue(connection, `DROP TABLE IF EXISTS ${schema}.rows`);
      await firstValue(connection, `DROP SCHEMA IF EXISTS ${schema}`);
    }
  });
  return {};
}

async function warmCheckout(pool) {
  const times = [];
  for (let i = 0; i < 200; i += 1) {
    const startedAt = performance.now();
    const connection = await pool.acquire();
    times.push(performance.now() - startedAt);
    pool.release(connection);
  }
  return Number(times.sort((a, b) => a - b)[100].toFixed(4));
}

/** Numbers and kinds of an error and its causes. Excludes messages, which may contain the server or login name. */
function factsOf(error) {
  const { name, code, number, state, class: severity, cause } = error;
  const facts = { name, code, number, state, class: severity };
  return cause instanceof Error ? { ...facts, cause: factsOf(cause) } : facts;
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}

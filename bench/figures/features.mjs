/**
 * The price of each optional feature of the pool: the same work with the feature on and with everything off. Checkouts are
 * measured on connections without sockets; resets, transactions and cold starts against the SQL emulator in a separate process.
 */
import { createTokenPool, transaction } from 'mssql-token-pool';
import { check } from '../lib/check.mjs';
import { figureProgram } from '../lib/figure-program.mjs';
import { tedious } from '../lib/peers.mjs';
import { figure, interleave, interleaveMany, OURS } from '../lib/rounds.mjs';
import { startSite } from '../lib/site.mjs';
import { longToken, StubConnection, stubTedious } from '../lib/stub-tedious.mjs';
import { fill } from '../lib/warm-pools.mjs';

/** @typedef {import('mssql-token-pool').TokenPool} TokenPool */
/** @typedef {import('mssql-token-pool').PoolConfig} PoolConfig */

const OFF = 'everything off';
const MAX = 10;
/** The pool captures at most this many stacks per 100 ms (src/pool/checkout-stacks.ts). */
const STACKS = 50;
const STACKS_WINDOW_MS = 100;
const LOGIN_MS = 100;
const PACED = 10;
/** The same logins and rows without a pool: what so many logins at once cost in any case. */
const BARE = `tedious, ${PACED} logins at once`;

/** The part of tedious that a reset needs; a borrower that sends no request has nothing to reset. */
class ResettableStub extends StubConnection {
  makeRequest() {}
  reset() {}
}

/** @param {PoolConfig} pool @param {object} [config] */
function stubPool(pool, config = {}) {
  return createTokenPool({
    ...{ server: 'localhost', authentication: longToken, ...config },
    tedious: { ...stubTedious, Connection: ResettableStub },
    pool: { max: MAX, ...pool },
  });
}

// ---- checkout ----

/**
 * @typedef {object} CheckoutRow
 * @property {string} name
 * @property {PoolConfig} on
 * @property {string} aim
 * @property {(figure: import('../lib/rounds.mjs').Figure) => boolean} reached
 * @property {(pool: import('../lib/warm-pools.mjs').Pool, quick: boolean) => Promise<number>} [measure] µs for one checkout and return
 */

/** @type {CheckoutRow[]} */
const CHECKOUTS = [
  { name: "resetSession: 'always'", on: { resetSession: 'always' }, ...within(1.25) },
  { name: 'keepaliveMillis: 300_000', on: { keepaliveMillis: 300_000 }, ...within(1.1) },
  { name: 'maxOpening: 10', on: { maxOpening: 10 }, ...within(1.1) },
  {
    name: `leakDetectionMillis: 60_000, more than ${STACKS} per ${STACKS_WINDOW_MS} ms`,
    on: { leakDetectionMillis: 60_000 },
    aim: '<= 2 µs more',
    reached: addsAtMost(2),
  },
  {
    name: `leakDetectionMillis: 60_000, the first ${STACKS} per ${STACKS_WINDOW_MS} ms, from 12 async functions`,
    on: { leakDetectionMillis: 60_000 },
    aim: '<= 40 µs more',
    reached: addsAtMost(40),
    measure: microsecondsWithStacks,
  },
];

/** @param {number} ratio */
function within(ratio) {
  return {
    aim: `<= ${ratio} x ${OFF}`,
    reached: (/** @type {{ ratio: number }} */ figure) => figure.ratio <= ratio,
  };
}

/** @param {number} microseconds @returns {CheckoutRow['reached']} */
function addsAtMost(microseconds) {
  return ({ ours, peers }) => ours - peers[OFF] <= microseconds;
}

/** @param {boolean} quick */
async function checkouts(quick) {
  const figures = [];
  for (const { name, on, aim, reached, measure = microseconds } of CHECKOUTS) {
    figures.push(await checkoutRow({ name, aim, reached, measure }, quick, stubPool(on)));
  }
  const withReplica = stubPool({}, { readOnly: { fallback: true } });
  const row = {
    name: 'readOnly.acquire(), with fallback',
    aim: '<= 15 µs more',
    reached: addsAtMost(15),
    measure: microseconds,
  };
  figures.push(await checkoutRow(row, quick, withReplica.readOnly, withReplica));
  return figures;
}

/**
 * @param {Omit<CheckoutRow, 'on'>} row @param {boolean} quick
 * @param {import('../lib/warm-pools.mjs').Pool} on @param {{ close: () => unknown }} [owner]
 */
async function checkoutRow({ name, aim, reached, measure = microseconds }, quick, on, owner = on) {
  const off = stubPool({});
  for (const pool of [on, off]) await fill(pool, MAX);
  const contestants = { [OURS]: () => measure(on, quick), [OFF]: () => measure(off, quick) };
  const results = await interleave(contestants, { rounds: quick ? 3 : 31, warmUp: quick ? 1 : 5 });
  for (const pool of [owner, off]) await pool.close();
  return figure({ name: `warm checkout + return: ${name}`, unit: 'µs', aim, against: OFF, results, reached });
}

/** @param {import('../lib/warm-pools.mjs').Pool} pool @param {boolean} quick */
async function microseconds(pool, quick) {
  const times = quick ? 2_000 : 20_000;
  const startedAt = performance.now();
  for (let i = 0; i < times; i += 1) pool.release(await pool.acquire());
  return ((performance.now() - startedAt) * 1000) / times;
}

/** Starts in a new window, so that each checkout gets its stack. @param {import('../lib/warm-pools.mjs').Pool} pool */
async function microsecondsWithStacks(pool) {
  await new Promise((resolve) => setTimeout(resolve, STACKS_WINDOW_MS + 5));
  const startedAt = performance.now();
  for (let i = 0; i < STACKS; i += 1) await calledBy(12, async () => pool.release(await pool.acquire()));
  return ((performance.now() - startedAt) * 1000) / STACKS;
}

/** @param {number} depth @param {() => Promise<void>} fn @returns {Promise<void>} */
async function calledBy(depth, fn) {
  if (depth === 0) await fn();
  else await calledBy(depth - 1, fn);
}

// ---- requests ----

/** @param {boolean} quick */
async function requests(quick) {
  const site = await startSite();
  const rounds = { rounds: quick ? 3 : 15, warmUp: quick ? 1 : 3 };
  const each = quick ? 64 : 800;
  try {
    const off = pool(site, {});
    const resetting = pool(site, { resetSession: 'always' });
    const byFlag = await interleave(
      {
        [OURS]: () => perSecond(each, (n) => resetting.use((connection) => select(connection, n))),
        [OFF]: () => perSecond(each, (n) => off.use((connection) => select(connection, n))),
      },
      rounds,
    );
    const byRequest = await interleave(
      {
        [OURS]: () => perSecond(each, (n) => resetting.use((connection) => selectAtAnotherLevel(connection, n))),
        [OFF]: () => perSecond(each, (n) => off.use((connection) => selectAtAnotherLevel(connection, n))),
      },
      rounds,
    );
    const transactions = await interleave(
      {
        [OURS]: () => perSecond(each, (n) => transaction(off, (connection) => select(connection, n))),
        'by hand': () => perSecond(each, (n) => off.use((connection) => transactionByHand(connection, n))),
      },
      rounds,
    );
    for (const each of [off, resetting]) await each.close();
    const higher = /** @type {const} */ ({ unit: 'queries/s', better: 'higher' });
    return [
      figure({
        ...{ name: "SELECT 1, 10 callers: resetSession: 'always', reset by flag", ...higher, against: OFF },
        ...{ aim: `>= 0.75 x ${OFF}, including the emulator's own work for each reset`, results: byFlag },
        reached: ({ ratio }) => ratio >= 0.75,
      }),
      figure({
        ...{
          name: "SELECT 1, 10 callers: resetSession: 'always', reset by a separate request",
          ...higher,
          against: OFF,
        },
        ...{ aim: `>= 0.45 x ${OFF}: two requests instead of one`, results: byRequest },
        reached: ({ ratio }) => ratio >= 0.45,
      }),
      figure({
        ...{ name: 'BEGIN, SELECT 1, COMMIT, 10 callers: transaction()', ...higher, against: 'by hand' },
        ...{ aim: '>= 0.95 x by hand', results: transactions },
        reached: ({ ratio }) => ratio >= 0.95,
      }),
    ];
  } finally {
    site.close();
  }
}

/** @param {import('../lib/site.mjs').Site} site @param {PoolConfig} settings */
function pool({ config, token }, settings) {
  const authentication = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 8e7 }) };
  return createTokenPool({ ...config, authentication, tedious, pool: { max: MAX, ...settings } });
}

/** @param {number} queries @param {(n: number) => Promise<unknown>} select */
async function perSecond(queries, select) {
  let next = 0;
  const startedAt = performance.now();
  const caller = async () => {
    for (let n = next++; n < queries; n = next++) {
      const answer = await select(n);
      check(answer === n, `SELECT ${n} gave ${answer}`);
    }
  };
  await Promise.all(Array.from({ length: MAX }, caller));
  return queries / ((performance.now() - startedAt) / 1000);
}

/** @param {import('tedious').Connection} connection @param {number} n */
function select(connection, n) {
  return batch(connection, `SELECT ${n} AS n`);
}

/** @param {import('tedious').Connection} connection @param {number} n */
function selectAtAnotherLevel(connection, n) {
  return batch(connection, `SET TRANSACTION ISOLATION LEVEL SNAPSHOT; SELECT ${n} AS n`);
}

/** @param {import('tedious').Connection} connection @param {string} sql */
function batch(connection, sql) {
  return new Promise((resolve, reject) => {
    let value;
    const request = new tedious.Request(sql, (error) => (error ? reject(error) : resolve(value)));
    request.on('row', (columns) => {
      value = columns[0].value;
    });
    connection.execSqlBatch(request);
  });
}

/** @param {import('tedious').Connection} connection @param {number} n */
async function transactionByHand(connection, n) {
  await settled((done) => connection.beginTransaction(done));
  const value = await select(connection, n);
  await settled((done) => connection.commitTransaction(done));
  return value;
}

/** @param {(done: (error?: Error | null) => void) => void} start */
function settled(start) {
  return new Promise((resolve, reject) => {
    start((error) => (error ? reject(error) : resolve(undefined)));
  });
}

// ---- cold starts ----

/**
 * Each caller wants one row, or holds its connection until all callers have one. A login takes 100 ms on the server, however many
 * there are at once; a real server refuses some of 200.
 *
 * @param {boolean} quick
 */
async function coldStarts(quick) {
  const callers = quick ? 20 : 200;
  const site = await startSite({ loginDelayMs: LOGIN_MS });
  const figures = [];
  try {
    for (const holds of [false, true]) {
      const contestants = {
        [OURS]: () =>
          coldStart(site, { max: callers, maxOpening: PACED, acquireTimeoutMillis: 60_000 }, callers, holds),
        [OFF]: () => coldStart(site, { max: callers, acquireTimeoutMillis: 60_000 }, callers, holds),
        ...(holds && { [BARE]: () => coldStartByHand(site, callers) }),
      };
      const results = await interleaveMany(contestants, { rounds: quick ? 1 : 3, warmUp: 0 });
      const work = holds ? 'all connections held at once' : 'one query each';
      const title = `cold start, ${callers} callers, max ${callers}, logins of ${LOGIN_MS} ms, maxOpening: ${PACED}, ${work}`;
      figures.push(
        figure({
          ...{ name: `${title}: logins at once`, unit: 'logins', aim: `<= ${PACED}`, against: OFF },
          results: results.opening,
          reached: ({ ours }) => ours <= PACED,
        }),
        figure({
          ...{ name: `${title}: all served`, unit: 'ms', against: holds ? BARE : OFF },
          aim: holds ? `<= 1.1 x the same ${callers} logins without a pool` : `<= 1.2 x ${OFF}`,
          results: results.milliseconds,
          reached: ({ ratio }) => ratio <= (holds ? 1.1 : 1.2),
        }),
      );
    }
  } finally {
    site.close();
  }
  return figures;
}

/** @param {import('../lib/site.mjs').Site} site @param {PoolConfig} settings @param {number} callers @param {boolean} holds */
async function coldStart(site, settings, callers, holds) {
  const cold = pool(site, settings);
  let opening = 0;
  const sampling = setInterval(() => {
    opening = Math.max(opening, cold.stats.opening);
  }, 5);
  const startedAt = performance.now();
  let served = 0;
  /** @type {() => void} */
  let allServed = () => {};
  const everybody = new Promise((resolve) => {
    allServed = () => resolve(undefined);
  });
  const caller = (_, n) =>
    cold.use(async (connection) => {
      check((await select(connection, n)) === n, `SELECT ${n} gave another answer`);
      served += 1;
      if (served === callers) allServed();
      if (holds) await everybody;
    });
  await Promise.all(Array.from({ length: callers }, caller));
  const milliseconds = performance.now() - startedAt;
  clearInterval(sampling);
  await cold.close();
  return { opening, milliseconds };
}

/** @param {import('../lib/site.mjs').Site} site @param {number} callers */
async function coldStartByHand({ config, token }, callers) {
  const { server, port, options } = config;
  const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 8e7 }) };
  const login = { type: 'token-credential', options: { credential } };
  const startedAt = performance.now();
  let next = 0;
  /** @type {import('tedious').Connection[]} */
  const open = [];
  const logIn = async () => {
    for (let n = next++; n < callers; n = next++) {
      const connection = new tedious.Connection({ server, authentication: login, options: { ...options, port } });
      await settled((done) => connection.connect(done));
      check((await select(connection, n)) === n, `SELECT ${n} gave another answer`);
      open.push(connection);
    }
  };
  await Promise.all(Array.from({ length: PACED }, logIn));
  const milliseconds = performance.now() - startedAt;
  for (const connection of open) connection.close();
  return { opening: PACED, milliseconds };
}

/** @param {{ quick: boolean }} options */
async function measure({ quick }) {
  return [...(await checkouts(quick)), ...(await requests(quick)), ...(await coldStarts(quick))];
}

await figureProgram(measure);

import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import type { LoginRecord } from '../../src/testing/index.js';
import type { Ability } from './abilities.js';
import { EVICTION_MARGIN_MS, REAL_SERVER, type Site, startSite, TOKEN_LIFETIME_MS } from './server.js';

/** An ORM, as the suite sees it. */
export interface OrmUnderTest {
  /** As users know it, with its major version where several are tested: `MikroORM 6`. */
  name: string;
  version: string;
  /** The ORM's setting or hook that this library uses. */
  seam: string;
  /** Whose pool holds the connections: ours, or the ORM's own with a check at each checkout. */
  pool: 'ours' | 'its own';
  /** How tables are made, and what relations are: words for the compatibility table. */
  tables: string;
  relations: string;
  /** Features that this ORM needs and not every real server has. */
  needs?: { tables?: Ability; transactions?: Ability };
  open(config: TokenPoolConfig): Promise<Library>;
}

/** Authors and their books: what can be done in a transaction and without one. */
export interface Authors {
  /** Gives the author's id. */
  add(name: string, titles: string[]): Promise<number>;
  find(id: number): Promise<{ name: string; titles: string[] } | undefined>;
  rename(id: number, name: string): Promise<void>;
  /** The author with all books. */
  remove(id: number): Promise<void>;
}

export interface Library extends Authors {
  createTables(): Promise<void>;
  /** The same tables in the simplest way, if `needs.tables` is not met. */
  createTablesPlainly?(): Promise<void>;
  dropTables(): Promise<void>;
  /** Commits, or rolls back when `work` throws. */
  transaction(work: (transaction: LibraryTransaction) => Promise<void>): Promise<void>;
  /** Names of all authors, row by row; where the ORM offers it. */
  stream?(): AsyncIterable<string>;
  close(): Promise<void>;
}

export interface LibraryTransaction extends Authors {
  /** A transaction in the transaction: rolled back alone when `work` throws. */
  nested(work: (transaction: Authors) => Promise<void>): Promise<void>;
}

const MAX = 5;
/** More callers than connections keep all of them in use; without a pause they also keep a whole core. */
const BETWEEN_ROUNDS_MS = 25;
/** Limit for what happens soon, on a machine that may be busy. */
const PATIENT = { timeout: 10_000 };
const LONGEST_MS = REAL_SERVER === undefined ? 120_000 : 600_000;

/** The same for every ORM. */
export function ormSuite(orm: OrmUnderTest): void {
  describe(`${orm.name} (${orm.version})`, () => {
    let site: Site;
    let library: Library;
    let closedAt = Number.POSITIVE_INFINITY;
    const passed: string[] = [];
    /** Why something cannot be tested here. */
    const lacking: { tables?: string; transactions?: string } = {};
    const tally = { rounds: 0, tokens: 0 };

    beforeAll(async () => {
      site = await startSite();
      for (const [what, ability] of Object.entries(orm.needs ?? {})) {
        if (!(await site.can(ability))) lacking[what as keyof typeof lacking] = `this server ${ability.lacking}`;
      }
      library = await orm.open(configOf(site));
    });
    afterAll(async () => {
      if (closedAt === Number.POSITIVE_INFINITY) await library?.close();
      writeReport(orm, { passed, ...tally, site, closedAt, streams: library?.stream !== undefined });
      await site?.[Symbol.asyncDispose]();
    });

    const behaviour = (name: string, fn: (context: TestContext) => Promise<void>): void => {
      test(name, { timeout: LONGEST_MS }, async (context) => {
        await fn(context);
        passed.push(name);
      });
    };

    const transactionsOf = (): Promise<void> =>
      lacking.transactions === undefined ? transactions(library) : Promise.resolve();

    behaviour('makes tables', async (context) => {
      await library.dropTables();
      if (lacking.tables === undefined) return library.createTables();
      await library.createTablesPlainly?.();
      skip(context, lacking.tables);
    });

    behaviour('inserts, reads, updates and deletes, with relations', () => insertReadUpdateDelete(library));

    behaviour('commits a transaction, rolls one back, and rolls a nested one back alone', async (context) => {
      if (lacking.transactions !== undefined) skip(context, lacking.transactions);
      await transactions(library);
    });

    behaviour('streams rows', async (context) => {
      if (library.stream === undefined) skip(context, `${orm.name} offers no streaming`);
      await stream(library);
    });

    behaviour('runs 100 queries at once', () => inParallel(library));

    behaviour('lives through three tokens under load: no query fails, no login is refused', async () => {
      const { entra, server } = site;
      const expired = (): number => {
        const born = entra.requests.filter(({ status, endpoint }) => status === 200 && endpoint === 'token');
        return born.filter(({ time }) => time + TOKEN_LIFETIME_MS < Date.now()).length;
      };
      const before = expired();
      await Promise.all(
        Array.from({ length: MAX + 1 }, async () => {
          while (expired() < before + 3) {
            await insertReadUpdateDelete(library);
            await transactionsOf();
            if (library.stream !== undefined) await stream(library);
            await inParallel(library, MAX);
            tally.rounds += 1;
            await sleep(BETWEEN_ROUNDS_MS);
          }
        }),
      );
      await inParallel(library);
      tally.tokens = new Set(server.logins.map(({ tokenExpiry }) => tokenExpiry)).size;
      expect(tally.tokens).toBeGreaterThan(3);
    });

    behaviour('gave every connection a fresh token of its own, sent encrypted', async () => {
      const { logins } = site.server;
      expect(refused(logins, closedAt)).toEqual([]);
      expect(logins.every(({ encrypted }) => encrypted)).toBe(true);
      expect(logins.every(({ time, tokenExpiry = time + 1 }) => tokenExpiry > time)).toBe(true);
    });

    behaviour('ran nothing on a session whose token had run out', async (context) => {
      if (REAL_SERVER !== undefined) skip(context, 'the gateway does not see which statement belongs to a transaction');
      expect(site.late).toEqual([]);
    });

    behaviour(
      orm.pool === 'ours'
        ? 'closes every connection inside its margin, used or not'
        : 'replaces a connection inside its margin at the next checkout',
      async () => {
        const useAll = () => (lacking.transactions === undefined ? allInTransactions(library) : inParallel(library));
        await closesInsideTheMargin(site, useAll, orm.pool === 'ours');
        expect(site.late).toEqual([]);
      },
    );

    behaviour('leaves nothing open after close', async () => {
      await library.dropTables();
      closedAt = Date.now();
      await library.close();
      // sequelize-pool opens more than it needs after it has refused several, and Sequelize 7 does not wait for those logins
      // when it is closed: they go when they have been idle for 10 s.
      await expect.poll(() => site.server.connections.open, { timeout: 30_000 }).toBe(0);
      expect(refused(site.server.logins, closedAt)).toEqual([]);
    });
  });
}

function configOf({ entra, server }: Site): TokenPoolConfig {
  return { ...server.config({ authentication: entra.credential() }), database: 'master', pool: { max: MAX } };
}

/**
 * The connections whose tokens end first are closed before those tokens end: by themselves, or when they would be used. A
 * round is inconclusive, and is repeated, if this process was held up for too long, if logins were so slow that one had not ended at
 * the margin, or if there was no time to use all connections twice (the first use may cause the renewal of the token).
 */
async function closesInsideTheMargin({ server }: Site, useAll: () => Promise<void>, byItself: boolean): Promise<void> {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  for (;;) {
    await useAll();
    const open = server.logins.filter(({ accepted, closed }) => accepted && closed === undefined);
    const end = Math.min(...open.map(({ tokenExpiry = 0 }) => tokenExpiry));
    const watched = open.filter(({ tokenExpiry }) => tokenExpiry === end);
    delay.reset();
    delay.enable();
    const margin = end - EVICTION_MARGIN_MS;
    let uses = 0;
    if (!byItself) await until(margin);
    while (!byItself && Date.now() < end) {
      await useAll();
      if (Date.now() < end) uses += 1;
    }
    await until(end + 1);
    delay.disable();
    const outlived = watched.filter(({ closed = Number.POSITIVE_INFINITY }) => closed > end);
    if (outlived.length === 0 && (byItself || uses > 0)) return;
    const heldUp = delay.max / 1e6 > EVICTION_MARGIN_MS / 4;
    const late = byItself ? server.logins.some(({ time }) => time > margin && time <= end) : uses < 2;
    if (!heldUp && !late) expect(outlived).toEqual([]);
  }
}

function until(time: number): Promise<void> {
  return expect
    .poll(() => Date.now(), { timeout: TOKEN_LIFETIME_MS + PATIENT.timeout })
    .toBeGreaterThanOrEqual(time) as Promise<void>;
}

/** Skips, and reports it on the console. */
function skip(context: TestContext, reason: string): never {
  console.warn(`SKIPPED: ${context.task.suite?.name}: ${context.task.name}: ${reason}`);
  return context.skip(reason);
}

/** Failed logins, except for those that were under way when their own pool closed. */
function refused(logins: readonly LoginRecord[], closedAt: number): LoginRecord[] {
  return logins.filter(({ error, closed = 0 }) => error !== undefined && !(error === 'dropped' && closed >= closedAt));
}

async function insertReadUpdateDelete(library: Library): Promise<void> {
  const id = await library.add('Ursula', ['The Dispossessed', 'The Lathe of Heaven']);
  expect(await library.find(id)).toEqual({ name: 'Ursula', titles: ['The Dispossessed', 'The Lathe of Heaven'] });
  await library.rename(id, 'Ursula K.');
  expect((await library.find(id))?.name).toBe('Ursula K.');
  await library.remove(id);
  expect(await library.find(id)).toBeUndefined();
}

async function transactions(library: Library): Promise<void> {
  let kept = 0;
  let lost = 0;
  await library.transaction(async (transaction) => {
    kept = await transaction.add('Stanisław', ['Solaris']);
    await expect(
      transaction.nested(async (inner) => {
        await inner.rename(kept, 'discarded');
        lost = await inner.add('Nested', []);
        throw new Error('the nested one');
      }),
    ).rejects.toThrow('the nested one');
    await transaction.rename(kept, 'Lem');
  });
  expect(await library.find(kept)).toEqual({ name: 'Lem', titles: ['Solaris'] });
  expect(await library.find(lost)).toBeUndefined();

  await expect(
    library.transaction(async (transaction) => {
      await transaction.rename(kept, 'discarded');
      throw new Error('the whole one');
    }),
  ).rejects.toThrow('the whole one');
  expect((await library.find(kept))?.name).toBe('Lem');
  await library.remove(kept);
}

async function stream(library: Library): Promise<void> {
  const name = `Octavia ${Math.random()}`;
  const id = await library.add(name, []);
  const seen: string[] = [];
  for await (const each of library.stream?.() ?? []) seen.push(each);
  expect(seen).toContain(name);
  await library.remove(id);
}

async function inParallel(library: Library, count = 100): Promise<void> {
  const id = await library.add('Iain', ['Excession']);
  const found = await Promise.all(Array.from({ length: count }, () => library.find(id)));
  expect(found).toEqual(Array.from({ length: count }, () => ({ name: 'Iain', titles: ['Excession'] })));
  await library.remove(id);
}

/** Each connection is in a transaction while the others are: Prisma makes one query of many that come together. */
async function allInTransactions(library: Library): Promise<void> {
  let missing = MAX;
  let proceed = (): void => {};
  const complete = new Promise<void>((resolve) => {
    proceed = resolve;
  });
  const join = async (): Promise<void> => {
    missing -= 1;
    if (missing === 0) proceed();
    await complete;
  };
  await Promise.all(Array.from({ length: MAX }, () => library.transaction(join)));
}

/** What `npm run docs:compatibility` makes its table of. */
function writeReport(
  { name, version, seam, pool, tables, relations }: OrmUnderTest,
  {
    passed,
    rounds,
    tokens,
    streams,
    site,
    closedAt,
  }: { passed: string[]; rounds: number; tokens: number; streams: boolean; site: Site; closedAt: number },
): void {
  const directory = process.env.ORM_REPORTS;
  if (directory === undefined) return;
  const { version: tedious } = createRequire(import.meta.url)('tedious/package.json') as { version: string };
  mkdirSync(directory, { recursive: true });
  const report = {
    ...{ name, version, seam, pool, tables, relations, streams, passed, rounds, tokens },
    logins: site.server.logins.length,
    refused: refused(site.server.logins, closedAt).length,
    node: process.version,
    tedious,
  };
  const file = `${name}-${version}-${process.version}`.replace(/[^\w.]+/g, '-');
  writeFileSync(`${directory}/${file}.json`, JSON.stringify(report, null, 2));
}

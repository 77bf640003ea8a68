import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import { type Site, startSite, TOKEN_LIFETIME_MS } from './server.js';

/** An ORM, as the suite sees it. */
export interface OrmUnderTest {
  /** As users know it, with its major version where several are tested: `MikroORM 6`. */
  name: string;
  version: string;
  /** Where our part goes in. */
  seam: string;
  /** Whose pool holds the connections: ours, or the ORM's own with a check at each checkout. */
  pool: 'ours' | 'its own';
  /** How tables are made, and what relations are: words for the compatibility table. */
  tables: string;
  relations: string;
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
/** For what happens soon, on a machine that may be busy. */
const PATIENT = { timeout: 10_000 };
const LONGEST_MS = 120_000;

/** The same for every ORM. */
export function ormSuite(orm: OrmUnderTest): void {
  describe(`${orm.name} (${orm.version})`, () => {
    let site: Site;
    let library: Library;
    let closed = false;
    const passed: string[] = [];
    const tally = { rounds: 0, tokens: 0 };

    beforeAll(async () => {
      site = await startSite();
      library = await orm.open(configOf(site));
    });
    afterAll(async () => {
      if (!closed) await library?.close();
      writeReport(orm, { passed, ...tally, site, streams: library?.stream !== undefined });
      await site?.[Symbol.asyncDispose]();
    });

    const behaviour = (name: string, fn: () => Promise<void>): void => {
      test(name, { timeout: LONGEST_MS }, async () => {
        await fn();
        passed.push(name);
      });
    };

    behaviour('makes tables', async () => {
      await library.dropTables();
      await library.createTables();
    });

    behaviour('inserts, reads, updates and deletes, with relations', () => insertReadUpdateDelete(library));

    behaviour('commits a transaction, rolls one back, and rolls a nested one back alone', () => transactions(library));

    behaviour('streams rows', async () => {
      if (library.stream !== undefined) await stream(library);
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
            await transactions(library);
            if (library.stream !== undefined) await stream(library);
            await inParallel(library, MAX);
            tally.rounds += 1;
          }
        }),
      );
      await inParallel(library);
      tally.tokens = new Set(server.logins.map(({ tokenExpiry }) => tokenExpiry)).size;
      expect(tally.tokens).toBeGreaterThan(3);
    });

    behaviour('gave every connection a fresh token of its own, sent encrypted', async () => {
      const { logins } = site.server;
      expect(logins.filter(({ error }) => error !== undefined)).toEqual([]);
      expect(logins.every(({ encrypted }) => encrypted)).toBe(true);
      expect(logins.every(({ time, tokenExpiry = time + 1 }) => tokenExpiry > time)).toBe(true);
    });

    behaviour('ran nothing on a session whose token had run out', async () => {
      expect(site.late).toEqual([]);
    });

    behaviour(
      orm.pool === 'ours'
        ? 'keeps no connection beyond its token, used or not'
        : 'replaces a connection beyond its token at the next checkout',
      async () => {
        const { logins } = site.server;
        const openBeyond = () => logins.filter((l) => l.accepted && l.closed === undefined && isOver(l.tokenExpiry));
        const newest = Math.max(...logins.map(({ tokenExpiry = 0 }) => tokenExpiry));
        await expect.poll(() => Date.now(), PATIENT).toBeGreaterThan(newest);
        if (orm.pool === 'its own') await inParallel(library);
        await expect.poll(openBeyond, PATIENT).toEqual([]);
        expect(site.late).toEqual([]);
      },
    );

    behaviour('leaves nothing open after close', async () => {
      await library.dropTables();
      await library.close();
      closed = true;
      await expect.poll(() => site.server.connections.open, PATIENT).toBe(0);
    });
  });
}

function configOf({ entra, server }: Site): TokenPoolConfig {
  return { ...server.config({ authentication: entra.credential() }), database: 'master', pool: { max: MAX } };
}

function isOver(tokenExpiry = Number.POSITIVE_INFINITY): boolean {
  return Date.now() > tokenExpiry;
}

async function insertReadUpdateDelete(library: Library): Promise<void> {
  const id = await library.add('Ursula', ['The Dispossessed', 'The Telling']);
  expect(await library.find(id)).toEqual({ name: 'Ursula', titles: ['The Dispossessed', 'The Telling'] });
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
        await inner.rename(kept, 'nobody');
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
      await transaction.rename(kept, 'nobody');
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

/** What `npm run docs:compatibility` makes its table of. */
function writeReport(
  { name, version, seam, pool, tables, relations }: OrmUnderTest,
  {
    passed,
    rounds,
    tokens,
    streams,
    site,
  }: { passed: string[]; rounds: number; tokens: number; streams: boolean; site: Site },
): void {
  const directory = process.env.ORM_REPORTS;
  if (directory === undefined) return;
  const { version: tedious } = createRequire(import.meta.url)('tedious/package.json') as { version: string };
  mkdirSync(directory, { recursive: true });
  const report = {
    ...{ name, version, seam, pool, tables, relations, streams, passed, rounds, tokens },
    logins: site.server.logins.length,
    refused: site.server.logins.filter(({ error }) => error !== undefined).length,
    node: process.version,
    tedious,
  };
  const file = `${name}-${version}-${process.version}`.replace(/[^\w.]+/g, '-');
  writeFileSync(`${directory}/${file}.json`, JSON.stringify(report, null, 2));
}

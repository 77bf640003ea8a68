import { exec } from 'node:child_process';
import { promisify } from 'node:util';
import sql from 'mssql';
import { afterAll, beforeAll, expect, type TestContext, test } from 'vitest';
import {
  type EntraEmulator,
  type SqlGateway,
  startEntraEmulator,
  startSqlGateway,
  type TdsServerOptions,
} from '../../src/testing/index.js';

/** The real server that scripts/test-container.mjs was given. */
export interface ServerUnderTest {
  server: string;
  port: number;
  user: string;
  password: string;
  /** Shell command that restarts it. */
  restart?: string;
  /** Where docker-compose.yml has put its Entra emulator and its gateway. */
  compose?: { entra: string; gatewayPort: number };
}

export function serverUnderTest(): ServerUnderTest {
  const given = process.env.SERVER_UNDER_TEST;
  if (given === undefined)
    throw new Error('Run these tests with: npm run test:container -- --server HOST --port PORT ...');
  return JSON.parse(given) as ServerUnderTest;
}

/** Entra and a gateway in front of the server, and a database of this file's own on it. */
export interface Site {
  entra: EntraEmulator;
  gateway: SqlGateway;
  database: string;
  /** mssql config that goes straight to the server, with its SQL login. */
  direct(overrides?: object): sql.config;
  /** mssql config that goes through the gateway, with a token. */
  through(overrides?: object): sql.config;
  /** A pool on either way, opened once for the whole file. */
  pools: { direct: sql.ConnectionPool; through: sql.ConnectionPool };
}

/** Starts everything before the tests of a file and takes it down after them. */
export function useSite(options: TdsServerOptions & { tokenLifetimeSeconds?: number } = {}): Site {
  const site = {} as Site;
  const target = serverUnderTest();
  const { server, port, user, password } = target;
  const trusting = { encrypt: true, trustServerCertificate: true };
  const inMaster: sql.config = { server, port, user, password, options: trusting };
  const { tokenLifetimeSeconds, ...emulator } = options;

  beforeAll(async () => {
    site.database = `token_pool_test_${process.pid}_${Math.floor(performance.now())}`;
    await inDatabase(inMaster, (pool) => pool.query(`CREATE DATABASE ${site.database}`));
    site.entra = await startEntraEmulator({ tokenLifetimeSeconds });
    const upstream = { server, port, user, password, options: trusting };
    site.gateway = await startSqlGateway({ entra: site.entra, upstream, ...emulator });
    const { database } = site;
    site.direct = (overrides) => ({ ...inMaster, database, pool: { max: 4 }, ...overrides });
    site.through = (overrides) => site.gateway.config({ database, pool: { max: 4 }, ...overrides }) as sql.config;
    site.pools = { direct: await opened(site.direct()), through: await opened(site.through()) };
  });

  afterAll(async () => {
    await Promise.all([site.pools?.direct.close(), site.pools?.through.close()]);
    await site.gateway?.close();
    await site.entra?.close();
    await inDatabase(inMaster, (pool) => pool.query(`DROP DATABASE ${site.database}`)).catch((error: Error) =>
      console.warn(`could not drop ${site.database}: ${error.message}`),
    );
  });
  return site;
}

async function opened(config: sql.config): Promise<sql.ConnectionPool> {
  const pool = await new sql.ConnectionPool(config).connect();
  pool.on('error', () => {});
  return pool;
}

export async function inDatabase<T>(config: sql.config, work: (pool: sql.ConnectionPool) => Promise<T>): Promise<T> {
  const pool = await opened(config);
  try {
    return await work(pool);
  } finally {
    await pool.close();
  }
}

/** What work did: its result, or how it failed. */
type Outcome = { result: unknown } | { failure: { message: string; number?: unknown; code?: unknown } };

/**
 * A test that does the same work directly on the server and through the gateway, and expects the same result. The
 * work checks its own result by throwing; if it throws on the server itself, the test is skipped with a warning.
 */
export function sameBothWays(name: string, site: Site, work: (pool: sql.ConnectionPool) => Promise<unknown>): void {
  test(name, async (context: TestContext) => {
    const straight = await outcome(work(site.pools.direct));
    if ('failure' in straight) skip(context, `the server itself cannot do this: ${straight.failure.message}`);
    const passed = await outcome(work(site.pools.through));
    expect(passed).toEqual(straight);
  });
}

/** Skips with a warning on the console. */
export function skip(context: TestContext, reason: string): never {
  console.warn(`SKIPPED: ${context.task.name}: ${reason}`);
  return context.skip(reason);
}

async function outcome(work: Promise<unknown>): Promise<Outcome> {
  try {
    return { result: await work };
  } catch (error) {
    const { message, number, code } = error as { message: string; number?: unknown; code?: unknown };
    return { failure: { message, number, code } };
  }
}

/** Restarts the server by its own command. */
export async function restartServer(command: string): Promise<void> {
  await promisify(exec)(command, { timeout: 120_000 });
}

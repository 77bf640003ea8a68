import { setTimeout as sleep } from 'node:timers/promises';
import type { EntraEmulator } from '../entra/emulator.js';
import { type EntraEmulatorOptions, startEntraEmulator } from '../entra/start.js';
import type { ServerCredential } from '../server/options.js';
import { type SqlEmulator, type SqlEmulatorOptions, startSqlEmulator } from '../sql/sql-emulator.js';
import { type OpenPool, type PoolSetup, type PoolUnderTest, requirePool } from './pool-under-test.js';

/** A requirement is not met; the message says what happened instead. */
export class NotConformant extends Error {
  override readonly name = 'NotConformant';
}

export function expect(condition: boolean, seen: string): asserts condition {
  if (!condition) throw new NotConformant(seen);
}

/** How a check opens its pool. */
export interface PoolChoice {
  credential?: ServerCredential | undefined;
  max?: number | undefined;
  acquireTimeoutMillis?: number | undefined;
}

/** The identity provider and SQL Server of one check, and the pools it has opened. */
export class Site {
  readonly #open: OpenPool;
  readonly #pools: PoolUnderTest[] = [];

  private constructor(
    readonly entra: EntraEmulator,
    readonly server: SqlEmulator,
    open: OpenPool,
  ) {
    this.#open = open;
  }

  static async start(open: OpenPool, entra: EntraEmulatorOptions, server: SqlEmulatorOptions): Promise<Site> {
    const emulator = await startEntraEmulator(entra);
    return new Site(emulator, await startSqlEmulator({ ...server, entra: emulator }), open);
  }

  async pool(choice: PoolChoice = {}): Promise<PoolUnderTest> {
    const { credential = this.entra.credential(), max = 2, acquireTimeoutMillis = 5_000 } = choice;
    const { server, port, options } = this.server.config();
    const setup: PoolSetup = { config: { server, port, options }, credential, max, acquireTimeoutMillis };
    const pool = await this.#open(setup);
    requirePool(pool);
    this.#pools.push(pool);
    return pool;
  }

  async stop(): Promise<void> {
    // A pool that cannot close must not stop the suite.
    await Promise.race([Promise.allSettled(this.#pools.map(async (pool) => pool.close())), sleep(5_000)]);
    await Promise.allSettled([this.server.close(), this.entra.close()]);
  }
}

/** Checks a connection out, asks who it is logged in as, and returns it. */
export async function whoAmI(pool: PoolUnderTest): Promise<unknown> {
  return withConnection(pool, (connection) => pool.query(connection, 'SELECT SUSER_SNAME() AS login'));
}

export async function withConnection<T>(pool: PoolUnderTest, use: (connection: unknown) => Promise<T>): Promise<T> {
  const connection = await pool.acquire();
  try {
    return await use(connection);
  } finally {
    await pool.release(connection);
  }
}

/** Calls `attempt` every `intervalMs` for `durationMs` and collects its failures. */
export async function repeat(
  durationMs: number,
  intervalMs: number,
  attempt: () => Promise<unknown>,
): Promise<{ attempts: number; failures: Error[] }> {
  const failures: Error[] = [];
  let attempts = 0;
  for (const end = performance.now() + durationMs; performance.now() < end; attempts += 1) {
    await attempt().catch((error: Error) => failures.push(error));
    await sleep(intervalMs);
  }
  return { attempts, failures };
}

/** The error of a promise that must reject. */
export async function rejection(promise: Promise<unknown>, expected: string): Promise<Error> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error !== undefined, expected);
  expect(error instanceof Error, 'rejects with something that is not an Error');
  return error;
}

/** First line of an error, short enough for a table. */
export function firstLine(error: Error | undefined): string {
  return (error?.message || error?.name || 'no message').split('\n', 1)[0]?.slice(0, 120) ?? '';
}

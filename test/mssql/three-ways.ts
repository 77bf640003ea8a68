import { createRequire } from 'node:module';
import { afterAll, beforeAll } from 'vitest';
import type { TokenPoolConfig } from '../../src/index.js';
import sql from '../../src/mssql/index.js';
import { withTokenRefresh } from '../../src/mssql/with-token-refresh.js';
import {
  type EntraEmulator,
  type EntraEmulatorOptions,
  type SqlEmulator,
  type SqlEmulatorOptions,
  startEntraEmulator,
  startSqlEmulator,
} from '../../src/testing/index.js';

export const stock = createRequire(import.meta.url)('mssql') as typeof import('mssql');
export type StockConfig = import('mssql').config;
export type StockPool = import('mssql').ConnectionPool;
export type Config = TokenPoolConfig;

/** One way of using mssql: the module whose classes a user writes code with, and how that user opens a pool. */
export interface Way {
  name: string;
  sql: typeof stock;
  open(config: Config): Promise<StockPool>;
}

/** The three ways of this library. */
export const ways: Way[] = [
  {
    name: 'withTokenRefresh on stock mssql',
    sql: stock,
    open: (config) => new stock.ConnectionPool(withTokenRefresh(config) as StockConfig).connect(),
  },
  {
    name: 'our ConnectionPool',
    sql: sql as unknown as typeof stock,
    open: (config) => new sql.ConnectionPool(config).connect(),
  },
  {
    name: 'our module, global connect()',
    sql: sql as unknown as typeof stock,
    open: (config) => sql.connect(config),
  },
];

/** mssql as it is, to compare with. */
export const stockMssql: Way = {
  name: 'stock mssql',
  sql: stock,
  open: (config) => new stock.ConnectionPool(config as StockConfig).connect(),
};

/** An identity provider and a server for the tests of one file. */
export function useEmulators(options: { entra?: EntraEmulatorOptions; server?: SqlEmulatorOptions } = {}): {
  entra: EntraEmulator;
  server: SqlEmulator;
} {
  const emulators = {} as { entra: EntraEmulator; server: SqlEmulator };
  beforeAll(async () => {
    emulators.entra = await startEntraEmulator(options.entra);
    emulators.server = await startSqlEmulator({ entra: emulators.entra, ...options.server });
  });
  afterAll(async () => {
    await emulators.server?.close();
    await emulators.entra?.close();
  });
  return emulators;
}

/** Opens a pool, hands it to `work`, and closes it whatever happens. */
export async function withPool<T>(way: Way, config: Config, work: (pool: StockPool) => Promise<T>): Promise<T> {
  const pool = await way.open(config);
  try {
    return await work(pool);
  } finally {
    await pool.close();
  }
}

import type { TokenPoolConfig } from '../../src/connections/config.js';
import { createTokenPool } from '../../src/pool/create-token-pool.js';
import type { TokenPool } from '../../src/pool/token-pool.js';
import {
  type EntraEmulator,
  type EntraEmulatorOptions,
  type SqlEmulator,
  type SqlEmulatorOptions,
  startEntraEmulator,
  startSqlEmulator,
} from '../../src/testing/index.js';

export interface Site extends AsyncDisposable {
  entra: EntraEmulator;
  server: SqlEmulator;
  /** A pool on this server, closed at the end of the test. */
  pool(overrides?: Partial<TokenPoolConfig>): TokenPool;
}

/** Both emulators, and pools that are closed before them. */
export async function site(options: { entra?: EntraEmulatorOptions; server?: SqlEmulatorOptions } = {}): Promise<Site> {
  const entra = await startEntraEmulator(options.entra);
  const server = await startSqlEmulator({ entra, ...options.server });
  const pools: TokenPool[] = [];
  return {
    entra,
    server,
    pool(overrides = {}) {
      const config = { ...server.config(), authentication: entra.credential(), ...overrides } as TokenPoolConfig;
      const pool = createTokenPool(config);
      pools.push(pool);
      return pool;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(pools.map((pool) => pool.close({ timeoutMs: 0 })));
      await server.close();
      await entra.close();
    },
  };
}

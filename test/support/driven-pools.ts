import type { Connection } from 'tedious';
import { afterEach } from 'vitest';
import { createTokenPools, type IdentityPool, type TokenPools, type TokenPoolsConfig } from '../../src/index.js';
import { FakeProvider } from '../tokens/fake-provider.js';
import { type drivenWorld, outcome, pass, SECOND, settled } from './driven-world.js';

/** Pools of many identities in a driven world; each test leaves them closed. */
export function drivenPools(world: ReturnType<typeof drivenWorld>) {
  let open: TokenPools[] = [];

  afterEach(async () => {
    const closed = outcome(Promise.all(open.map((pools) => pools.close({ timeoutMs: 0 }))));
    await pass(10 * SECOND);
    settled(closed);
    open = [];
  });

  return {
    /** @param config what differs from the world's server, or a whole connection string */
    many(config: Partial<TokenPoolsConfig> | string = {}): TokenPools {
      const pools =
        typeof config === 'string'
          ? createTokenPools(config)
          : createTokenPools({ server: 'host', tedious: world.server.tedious, ...config });
      open.push(pools);
      return pools;
    },
    /** An identity with its own credential. */
    of: (pools: TokenPools, key: string): IdentityPool => pools.for({ authentication: new FakeProvider(), key }),
    async borrow(from: { acquire(): Promise<Connection> }): Promise<Connection> {
      const acquired = outcome(from.acquire());
      await pass(world.server.loginMs);
      return settled(acquired);
    },
  };
}

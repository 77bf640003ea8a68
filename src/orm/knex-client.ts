import type { TarnFacade } from '../pool/tarn-facade.js';
import { singleReturn } from './loans.js';
import { type PoolInput, poolFor, type Tedious } from './pool-for.js';

/** The `mssql` dialect of some copy of knex, or a class that extends it. */
export type KnexDialect = new (...args: never[]) => object;

/**
 * The same dialect with a token pool in the place of knex's: for libraries that bring their own knex or their own dialect.
 *
 * ```ts
 * import MssqlDialect from 'knex/lib/dialects/mssql/index.js';
 * const db = knex({ client: knexClient(MssqlDialect, config), connection: { database } });
 * ```
 *
 * @throws ConfigurationError that names the key and the mend
 */
export function knexClient<Dialect extends KnexDialect>(Base: Dialect, input: PoolInput, subpath = 'knex'): Dialect {
  const { open, tedious } = poolFor(input, subpath);

  class TokenClient extends (Base as unknown as new (config: object) => object) {
    declare pool: TarnFacade;

    /** knex calls it at the end of its constructor; its own makes a tarn pool of `acquireRawConnection`. */
    initializePool(): void {
      this.pool = singleReturn(open());
    }

    /** Requests and connections must come from one copy of tedious. */
    _driver(): Tedious {
      return tedious;
    }
  }
  return TokenClient as unknown as Dialect;
}

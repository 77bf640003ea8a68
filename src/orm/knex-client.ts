import type { Connection } from 'tedious';
import { AcquireTimeoutError, ConfigurationError } from '../errors.js';
import { isOfFullPool } from '../pool/acquire-errors.js';
import type { TarnFacade } from '../pool/tarn-facade.js';
import { withBuilderStacks } from './knex-stacks.js';
import { type PoolInput, poolFor, type Tedious } from './pool-for.js';
import { singleReturn } from './single-return.js';

/** knex's `KnexTimeoutError`. */
export type KnexTimeoutClass = new (message: string) => Error;

/** The `mssql` dialect of some copy of knex, or a class that extends it. */
export type KnexDialect = new (...args: never[]) => object;

/**
 * The same dialect with a token pool in place of knex's: for libraries that bring their own knex or their own dialect.
 *
 * ```ts
 * import MssqlDialect from 'knex/lib/dialects/mssql/index.js';
 * const db = knex({ client: knexClient(MssqlDialect, config), connection: { database } });
 * ```
 *
 * @throws ConfigurationError that names the setting and how to fix it
 */
export function knexClient<Dialect extends KnexDialect>(
  Base: Dialect,
  input: PoolInput,
  subpath = 'knex',
  Timeout: KnexTimeoutClass = Error,
): Dialect {
  const { open, tedious } = poolFor(input, subpath);

  class TokenClient extends (withBuilderStacks(Base) as unknown as new (config: object) => object) {
    declare pool: TarnFacade;
    declare config: KnexSettings;

    /** knex calls it at the end of its constructor; knex's version creates a tarn pool from `acquireRawConnection`. */
    initializePool(): void {
      refuseOwnSettings(this.config);
      const { acquireConnectionTimeout: acquireTimeoutMillis } = this.config;
      this.pool = singleReturn(
        numbered(open({ acquireTimeoutMillis, mapError: (error) => asKnexTimeout(error, Timeout) })),
      );
    }

    /** Requests and connections must come from one copy of tedious. */
    _driver(): Tedious {
      return tedious;
    }
  }
  return TokenClient as unknown as Dialect;
}

/** The part of knex's config that is read here. */
interface KnexSettings {
  pool?: object | undefined;
  connection?: unknown;
  acquireConnectionTimeout?: number | undefined;
}

/** @throws ConfigurationError for settings that would be ignored */
function refuseOwnSettings({ pool, connection }: KnexSettings): void {
  if (typeof connection === 'function') {
    throw new ConfigurationError(
      "knex's 'connection' cannot be a function here: connections come from the token pool.",
      {
        hint: 'Remove it; for a token that changes, use authentication in the config of knexConfig().',
      },
    );
  }
  const [key] = Object.keys(pool ?? {});
  if (key === undefined) return;
  throw new ConfigurationError(`knex's own 'pool.${key}' has no effect with a token pool.`, {
    hint: 'Set pool: { max, min, idleTimeoutMillis, ... } in the config of knexConfig().',
  });
}

/** knex names connections in its query events and logs. */
function numbered(pool: TarnFacade): TarnFacade {
  let count = 0;
  return Object.create(pool, {
    acquire: {
      value() {
        const { promise, abort } = pool.acquire();
        const number = (connection: Connection & { __knexUid?: string }): Connection => {
          if (connection.__knexUid === undefined) {
            count += 1;
            connection.__knexUid = `__knexUid${count}`;
          }
          return connection;
        };
        return { promise: promise.then(number), abort };
      },
    },
  }) as TarnFacade;
}

/** knex's own text, which applications compare. */
const POOL_IS_FULL = 'The pool is probably full. Are you missing a .transacting(trx) call?';

/** knex's own timeout error, with ours as its cause. */
function asKnexTimeout(error: unknown, Timeout: KnexTimeoutClass): unknown {
  if (!(error instanceof AcquireTimeoutError)) return error;
  const reason = isOfFullPool(error) ? POOL_IS_FULL : error.message;
  const timeout = new Timeout(`Knex: Timeout acquiring a connection. ${reason}`);
  timeout.name = 'KnexTimeoutError';
  timeout.cause = error;
  return timeout;
}

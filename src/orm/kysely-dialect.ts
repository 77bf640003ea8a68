import type { Connection } from 'tedious';
import { isInTransaction } from '../connections/session.js';
import { ConfigurationError } from '../errors.js';
import type { TarnFacade } from '../pool/tarn-facade.js';
import { boundTo } from './bound-to.js';
import { type PoolInput, poolFor, type Tedious } from './pool-for.js';

/** The part of the connections of Kysely's driver that is used here. */
interface Wrapping {
  create(): Promise<object>;
}

type Wrap = (connection: Connection, driver: Wrapping) => Promise<object>;

/** The configuration of Kysely's `MssqlDialect`, without Kysely's types: MikroORM's users may not have those. */
export interface DialectConfig {
  tarn: { Pool: ReturnType<typeof poolClass>; options: { min: number; max: number } };
  tedious: Tedious & { connectionFactory: () => Connection };
  validateConnections: boolean;
}

/** @throws ConfigurationError that names the setting and how to fix it */
export function tokenDialectConfig(input: PoolInput, subpath: string): DialectConfig {
  const { open, tedious } = poolFor(input, subpath);
  /** The connection that Kysely's driver is wrapping at this moment. */
  let wrapped: Connection | undefined;
  const wrap: Wrap = (connection, driver) => {
    wrapped = connection;
    return driver.create();
  };
  return {
    tarn: { Pool: poolClass(open, wrap), options: { min: 0, max: 0 } },
    tedious: { ...tedious, connectionFactory: () => alreadyConnected(wrapped as Connection) },
    // The pool has already checked the connection.
    validateConnections: false,
  };
}

/**
 * Kysely creates its own pool, from the class that it is given, and its driver hands out wrappers around connections: each
 * connection is wrapped when it is borrowed for the first time.
 */
function poolClass(open: () => TarnFacade, wrap: Wrap) {
  return class {
    readonly #driver: Wrapping;
    readonly #pool = open();
    readonly #wrappers = new WeakMap<Connection, object>();
    readonly #connections = new WeakMap<object, Connection>();

    /** @throws ConfigurationError for `tarn.options` of the application */
    constructor(driver: Wrapping & Record<string, unknown>) {
      const { create: _, destroy: __, validate: ___, ...options } = driver;
      const own = Object.keys(options).find((key) => options[key] !== 0 && options[key] !== undefined);
      if (own !== undefined) {
        throw new ConfigurationError(`Kysely's own 'tarn.options.${own}' has no effect.`, {
          hint: 'Set pool: { max, min, idleTimeoutMillis, ... } in the config of dialectConfig().',
        });
      }
      this.#driver = driver;
    }

    acquire(): { promise: Promise<object> } {
      return { promise: this.#pool.acquire().promise.then((connection) => this.#wrapperOf(connection)) };
    }

    release(wrapper: object): void {
      this.#pool.release(this.#connections.get(wrapper) as Connection);
    }

    destroy(): Promise<void> {
      return this.#pool.destroy();
    }

    async #wrapperOf(connection: Connection): Promise<object> {
      const known = this.#wrappers.get(connection);
      if (known !== undefined) return known;
      const wrapper = await wrap(connection, this.#driver);
      this.#wrappers.set(connection, wrapper);
      this.#connections.set(wrapper, connection);
      return wrapper;
    }
  };
}

/**
 * Kysely's driver connects the connection that its factory returns; ours is connected already.
 *
 * After any error in a transaction, Kysely sends ROLLBACK. If the server has already rolled back, as for a deadlock victim, that
 * fails with error 3903, which Kysely would throw in place of the first error.
 */
function alreadyConnected(connection: Connection): Connection {
  const rollbackTransaction: Connection['rollbackTransaction'] = (callback, savepoint) => {
    if (savepoint === undefined && !isInTransaction(connection)) callback(null);
    else connection.rollbackTransaction(callback, savepoint);
  };
  return boundTo(connection, { connect: (listener) => listener?.(), rollbackTransaction });
}

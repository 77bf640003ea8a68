import { createRequire } from 'node:module';
import { OURS } from './rounds.mjs';
import { longToken, StubConnection, stubFactory, stubTedious } from './stub-tedious.mjs';

/**
 * One pool of each library on connections without sockets, with the same limits and timeouts, validated at each checkout if
 * the library supports it. A library is loaded when its pool is opened, so that a process can load just one of them.
 *
 * @typedef {object} Pool
 * @property {() => Promise<StubConnection>} acquire
 * @property {(connection: StubConnection) => unknown} release
 * @property {() => unknown} close
 */

const require = createRequire(import.meta.url);
const { create, destroy, isGood } = stubFactory;
const TIMEOUT_MS = 30_000;

export const GENERIC_POOL = 'generic-pool, testOnBorrow';
export const TARN = "mssql's tarn, validation 'socket'";
export const SEQUELIZE_POOL = 'sequelize-pool';
export const LIGHTNING_POOL = 'lightning-pool, validation';
export const PG_POOL = 'pg-pool, without a check';

/** @type {Record<string, (max: number) => Promise<Pool>>} */
export const WARM_POOLS = {
  async [OURS](max) {
    const { createTokenPool } = await import('mssql-token-pool');
    const config = { server: 'localhost', authentication: longToken, pool: { max }, tedious: stubTedious };
    const pool = createTokenPool(config);
    return {
      acquire: () => /** @type {Promise<any>} */ (pool.acquire()),
      release: (connection) => pool.release(/** @type {any} */ (connection)),
      close: () => pool.close(),
    };
  },

  async [GENERIC_POOL](max) {
    const validate = async (/** @type {StubConnection} */ connection) => isGood(connection);
    const options = { max, testOnBorrow: true, acquireTimeoutMillis: TIMEOUT_MS };
    const pool = require('generic-pool').createPool({ create, destroy, validate }, options);
    return {
      acquire: () => pool.acquire(),
      release: (connection) => pool.release(connection),
      close: async () => {
        await pool.drain();
        await pool.clear();
      },
    };
  },

  async [TARN](max) {
    // mssql's own check and settings (lib/base/connection-pool.js), applied to stub connections.
    const parent = new (require('mssql').ConnectionPool)({ server: 'localhost', validateConnection: 'socket' });
    const { Pool } = createRequire(require.resolve('mssql'))('tarn');
    const validate = parent._poolValidate.bind(parent);
    const settings = { max, min: 0, idleTimeoutMillis: TIMEOUT_MS, propagateCreateError: true };
    const pool = new Pool({ create, validate, destroy, ...settings });
    return {
      acquire: () => pool.acquire().promise,
      release: (connection) => pool.release(connection),
      close: () => pool.destroy(),
    };
  },

  async [SEQUELIZE_POOL](max) {
    const { Pool } = createRequire(require.resolve('sequelize'))('sequelize-pool');
    const settings = { idleTimeoutMillis: TIMEOUT_MS, acquireTimeoutMillis: TIMEOUT_MS, reapIntervalMillis: 1000 };
    const pool = new Pool({ name: 'stub', create, destroy, validate: isGood, max, min: 0, ...settings });
    return {
      acquire: () => pool.acquire(),
      release: (connection) => pool.release(connection),
      close: async () => {
        await pool.drain();
        await pool.destroyAllNow();
      },
    };
  },

  async [LIGHTNING_POOL](max) {
    const { Pool } = await import('lightning-pool');
    const validate = async (/** @type {StubConnection} */ connection) => {
      if (!isGood(connection)) throw new Error('not logged in');
    };
    const settings = { min: 0, idleTimeoutMillis: TIMEOUT_MS, acquireTimeoutMillis: TIMEOUT_MS, validation: true };
    const pool = new Pool({ create, destroy, validate }, { max, ...settings });
    return {
      acquire: () => pool.acquire(),
      release: (connection) => pool.release(connection),
      close: () => pool.closeAsync(),
    };
  },

  async [PG_POOL](max) {
    const Pool = require('pg-pool');
    const settings = { idleTimeoutMillis: TIMEOUT_MS, connectionTimeoutMillis: TIMEOUT_MS };
    const pool = new Pool({ max, ...settings, Client: StubPgClient });
    return {
      acquire: () => pool.connect(),
      release: (client) => client.release(),
      close: () => pool.end(),
    };
  },
};

/** The part of a pg client that pg-pool needs. */
class StubPgClient extends StubConnection {
  _queryable = true;
  _ending = false;

  constructor() {
    super({ authentication: { options: { credential: longToken } } });
  }

  /** @param {() => void} callback */
  end(callback) {
    this._ending = true;
    this.once('end', callback);
    this.close();
  }

  ref() {}
  unref() {}
}

/** Opens all connections of a pool and uses each once. @param {Pool} pool @param {number} max */
export async function fill(pool, max) {
  const all = await Promise.all(Array.from({ length: max }, () => pool.acquire()));
  for (const connection of all) await pool.release(connection);
}

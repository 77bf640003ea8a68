/**
 * The pools that docs/conformance.md compares, each configured for tokens as its own documentation recommends.
 */
import { createRequire } from 'node:module';
import knex from 'knex';
import { createTokenPool } from 'mssql-token-pool';
import tokenSql from 'mssql-token-pool/mssql';
import { firstValue } from './query.mjs';

const require = createRequire(import.meta.url);
const mssql = require('mssql');
const fromMssql = createRequire(require.resolve('mssql'));
const tarn = fromMssql('tarn');
const tedious = fromMssql('tedious');
const sequelizePool = createRequire(require.resolve('sequelize'))('sequelize-pool');

/** A connected tedious connection that gets a token from `credential` during its login. */
function connect({ config, credential, acquireTimeoutMillis }) {
  const { server, port, options } = config;
  const connection = new tedious.Connection({
    server,
    options: { ...options, port, connectTimeout: acquireTimeoutMillis },
    authentication: { type: 'token-credential', options: { credential } },
  });
  connection.on('error', () => {});
  return new Promise((resolve, reject) => {
    connection.connect((error) => (error ? reject(error) : resolve(connection)));
  });
}

const isOpen = (connection) => !connection.closed;

/** The drop-in and stock mssql differ only in the module that exports `ConnectionPool`. */
function mssqlPool({ ConnectionPool }, { config, max, acquireTimeoutMillis }, login) {
  const pool = new ConnectionPool({
    ...config,
    ...login,
    connectionTimeout: acquireTimeoutMillis,
    pool: { max, acquireTimeoutMillis },
  });
  pool.on('error', () => {});
  let connecting;
  return {
    async acquire() {
      connecting ??= pool.connect();
      await connecting.catch((error) => {
        // The next caller tries again.
        connecting = undefined;
        throw error;
      });
      return pool.pool.acquire().promise;
    },
    release: (connection) => pool.pool.release(connection),
    query: firstValue,
    close: () => pool.close(),
  };
}

const withCredential = ({ credential }) => ({ authentication: { type: 'token-credential', options: { credential } } });

/** Pools by name, with a function that opens each. */
export const POOLS = {
  'mssql-token-pool': ({ config, credential, max, acquireTimeoutMillis }) => {
    const pool = createTokenPool({ ...config, authentication: credential, pool: { max, acquireTimeoutMillis } });
    return {
      acquire: () => pool.acquire(),
      release: (connection) => pool.release(connection),
      query: firstValue,
      close: () => pool.close(),
    };
  },

  'mssql-token-pool/mssql': (setup) => mssqlPool(tokenSql, setup, withCredential(setup)),

  'mssql, token-credential': (setup) => mssqlPool(mssql, setup, withCredential(setup)),

  'mssql, static token': async (setup) => {
    const { token } = await setup.credential.getToken('https://database.windows.net/.default');
    return mssqlPool(mssql, setup, {
      authentication: { type: 'azure-active-directory-access-token', options: { token } },
    });
  },

  'tarn, token-credential': (setup) => {
    const pool = new tarn.Pool({
      create: () => connect(setup),
      destroy: (connection) => connection.close(),
      validate: isOpen,
      min: 0,
      max: setup.max,
      acquireTimeoutMillis: setup.acquireTimeoutMillis,
    });
    return {
      acquire: () => pool.acquire().promise,
      release: (connection) => pool.release(connection),
      query: firstValue,
      close: () => pool.destroy(),
    };
  },

  'sequelize-pool, token-credential': (setup) => {
    const pool = new sequelizePool.Pool({
      create: () => connect(setup),
      destroy: (connection) => connection.close(),
      validate: isOpen,
      min: 0,
      max: setup.max,
      idleTimeoutMillis: 30_000,
      acquireTimeoutMillis: setup.acquireTimeoutMillis,
    });
    return {
      acquire: () => pool.acquire(),
      release: (connection) => pool.release(connection),
      query: firstValue,
      close: async () => {
        await pool.drain();
        await pool.destroyAllNow();
      },
    };
  },

  'knex, expirationChecker': ({ config, credential, max, acquireTimeoutMillis }) => {
    const quiet = () => {};
    const db = knex({
      client: 'mssql',
      log: { warn: quiet, error: quiet, debug: quiet, deprecate: quiet },
      acquireConnectionTimeout: acquireTimeoutMillis,
      // knex requests the settings again when the checker reports that they have expired.
      connection: async () => {
        const held = await credential.getToken('https://database.windows.net/.default');
        const life = held.expiresOnTimestamp - Date.now();
        return {
          ...config,
          type: 'azure-active-directory-access-token',
          token: held.token,
          expirationChecker: () => Date.now() > held.expiresOnTimestamp - life / 4,
        };
      },
      pool: { min: 0, max },
    });
    return {
      acquire: () => db.client.acquireConnection(),
      release: (connection) => db.client.releaseConnection(connection),
      query: firstValue,
      close: () => db.destroy(),
    };
  },
};

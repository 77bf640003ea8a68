// Loaded before knex's own suite. Sets its server and, as `ours`, wraps every mssql dialect passed to knex in knexClient().
const Module = require('node:module');
const { readFileSync } = require('node:fs');
const { join, sep } = require('node:path');

const { UPSTREAM, UPSTREAM_SERVER, RUN_AS } = process.env;
const DIALECT = join(UPSTREAM, 'lib/dialects/mssql/index.js');
const OURS = '../../dist/orm/knex.js';
const server = JSON.parse(readFileSync(UPSTREAM_SERVER, 'utf8'));

const resolve = Module._resolveFilename;
Module._resolveFilename = function (request, parent, ...rest) {
  // Both use the checkout's knex.
  if (request === 'knex' || request.startsWith('knex/')) {
    return resolve.call(this, join(UPSTREAM, request.slice('knex'.length)), parent, ...rest);
  }
  return resolve.call(this, request, parent, ...rest);
};

/** A client class created for the connection passed to knex, as knexConfig() does. */
function inPlaceOf(Stock) {
  const { knexClient } = require(OURS);
  const { KnexTimeoutError } = require('knex/lib/util/timeout.js');
  return new Proxy(Stock, {
    construct(_, [config]) {
      const { connection, pool = {}, ...rest } = config;
      if (typeof connection !== 'object' || connection === null) return new Stock(config);
      const { afterCreate: _afterCreate, ...settings } = pool;
      const { host, server: name = host, ...login } = connection;
      // knex hides the password from enumeration.
      const { password } = connection;
      const given = { ...login, password, server: name || 'localhost', pool: settings };
      if (given.user === undefined) Object.assign(given, { user: 'unused', password: 'unused' });
      const Client = knexClient(Stock, given, 'knex', KnexTimeoutError);
      const client = new Client({ ...rest, connection });
      // Some tests derive another config from that of the client. The class itself refuses these settings.
      client.config.pool = settings;
      const initializePool = client.initializePool;
      client.initializePool = (...args) => {
        client.config.pool = undefined;
        initializePool.apply(client, args);
        client.config.pool = settings;
      };
      return client;
    },
  });
}

const load = Module._load;
let replaced;
Module._load = function (request, parent, ...rest) {
  const loaded = load.call(this, request, parent, ...rest);
  if (loaded === null || (typeof loaded !== 'object' && typeof loaded !== 'function')) return loaded;
  const file = parent && request.includes('mssql') ? resolved(request, parent) : undefined;
  if (RUN_AS !== 'ours' || file !== DIALECT || !parent.filename.startsWith(UPSTREAM + sep)) return loaded;
  replaced ??= inPlaceOf(loaded);
  return replaced;
};

function resolved(request, parent) {
  try {
    return Module._resolveFilename(request, parent);
  } catch {
    return undefined;
  }
}

// The file from which the suite reads its servers (KNEX_TEST).
const { options, ...login } = server;
const mapBinding = (value) => (value?.type ? { value: value.value, type: value.type } : undefined);
module.exports = { mssql: { ...login, encrypt: true, options: { ...options, mapBinding } } };

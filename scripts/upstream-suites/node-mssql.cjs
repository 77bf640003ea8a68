// Loaded before node-mssql's own suite. Sets its configuration and, as `ours`, returns the drop-in when a test requires mssql.
const Module = require('node:module');
const fs = require('node:fs');
const { join, sep } = require('node:path');

const { UPSTREAM, UPSTREAM_SERVER, RUN_AS } = process.env;
const CONFIG = join(UPSTREAM, 'test/.mssql.json');
const ENTRIES = new Set(['index.js', 'tedious.js'].map((file) => join(UPSTREAM, file)));
const DROP_IN = join(__dirname, '../../dist/mssql/index.js');

const resolve = Module._resolveFilename;
Module._resolveFilename = function (request, parent, ...rest) {
  // Both use the checkout's mssql.
  if (request === 'mssql' || request.startsWith('mssql/')) {
    return resolve.call(this, join(UPSTREAM, request.slice('mssql'.length)), parent, ...rest);
  }
  if (request === CONFIG) return CONFIG;
  const file = resolve.call(this, request, parent, ...rest);
  const isTest = parent?.filename?.startsWith(join(UPSTREAM, 'test') + sep);
  return RUN_AS === 'ours' && isTest && ENTRIES.has(file) ? DROP_IN : file;
};

// The file from which the suite reads its server need not exist.
const read = fs.readFileSync;
fs.readFileSync = (path, ...rest) => read(path === CONFIG ? UPSTREAM_SERVER : path, ...rest);
Module._extensions['.json'] = (module, filename) => {
  module.exports = JSON.parse(fs.readFileSync(filename, 'utf8'));
  // A checkout contains an old version number; releases are numbered when they are published.
  if (filename === join(UPSTREAM, 'package.json')) module.exports.version = '12.0.0';
};

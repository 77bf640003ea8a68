// One pair of emulators for the whole run. Jest's workers inherit the environment, which contains the config.
const { startEntraEmulator, startSqlEmulator } = require('mssql-token-pool/testing');

module.exports = async function startEmulators() {
  const entra = await startEntraEmulator({ tokenLifetimeSeconds: 6 });
  const server = await startSqlEmulator({
    entra,
    enforceExpiry: 'login',
    onQuery: (sql, { customer }) => (/FROM orders/.test(sql) ? [{ id: customer, item: 'coffee' }] : undefined),
  });
  const { tenantId, clientId, clientSecret, url } = entra;
  const config = server.config({ authentication: { tenantId, clientId, clientSecret, authority: url } });
  process.env.TEST_SQL_CONFIG = JSON.stringify(config);
  globalThis.emulators = { entra, server };
};

// One pair of emulators for the whole run. Test files run in their own processes and get the config with `inject('config')`.
import { startEntraEmulator, startSqlEmulator } from 'mssql-token-pool/testing';

export default async function setup(project) {
  const entra = await startEntraEmulator();
  const server = await startSqlEmulator({
    entra,
    onQuery: (sql, { customer }) => (/FROM orders/.test(sql) ? [{ id: customer, item: 'coffee' }] : undefined),
  });
  const { tenantId, clientId, clientSecret, url } = entra;
  project.provide('config', server.config({ authentication: { tenantId, clientId, clientSecret, authority: url } }));
  return async () => {
    await server.close();
    await entra.close();
  };
}

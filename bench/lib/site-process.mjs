/** The emulators, in a separate process from the measured clients. */
import { startEntraEmulator, startSqlEmulator } from 'mssql-token-pool/testing';

const entra = await startEntraEmulator({ tokenLifetimeSeconds: 86_400 });
const server = await startSqlEmulator({ entra, ...JSON.parse(process.argv[2] ?? '{}') });

const answers = {
  /** Adds an application per client, so that its requests can be counted. */
  addApp: () => {
    const { clientId, clientSecret } = entra.addApp();
    return { clientId, clientSecret };
  },
  /** @param {{ clientId: string, appName: string }} client */
  counts: ({ clientId, appName }) => ({
    tokenRequests: entra.requests.filter((request) => request.clientId === clientId).length,
    logins: server.logins.filter((login) => login.appName === appName && login.accepted).length,
    refused: server.logins.filter((login) => login.appName === appName && !login.accepted).length,
  }),
};

process.on('message', async ({ id, question, about }) => {
  process.send?.({ id, answer: await answers[question](about) });
});
process.on('disconnect', () => process.exit());
process.send?.({
  config: server.config({ authentication: undefined, user: undefined }),
  entra: { url: entra.url, tenantId: entra.tenantId },
  token: entra.issueToken(),
});

/** Emulators with short-lived tokens and slow logins, in a separate process. */
import { startEntraEmulator, startSqlEmulator } from 'mssql-token-pool/testing';

const [lifeSeconds, refreshInSeconds, enforceExpiry] = process.argv.slice(2);
const entra = await startEntraEmulator({
  tokenLifetimeSeconds: Number(lifeSeconds),
  refreshInSeconds: refreshInSeconds === undefined ? undefined : Number(refreshInSeconds),
});
const server = await startSqlEmulator({ entra, enforceExpiry, loginDelayMs: 100 });
const { clientId, clientSecret } = entra.addApp();
process.on('message', () =>
  process.send?.({
    logins: server.logins.map(({ time, error }) => ({ time, refused: error !== undefined })),
    tokens: entra.requests.filter((request) => request.status === 200).length,
  }),
);
process.on('disconnect', () => process.exit());
process.send?.({
  config: server.config({ authentication: undefined, user: undefined }),
  token: {
    url: `${entra.url}/${entra.tenantId}/oauth2/v2.0/token`,
    body: {
      grant_type: 'client_credentials',
      client_id: clientId,
      client_secret: clientSecret,
      scope: 'https://database.windows.net/.default',
    },
  },
});

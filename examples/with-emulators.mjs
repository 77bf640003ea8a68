import { startEntraEmulator, startSqlEmulator } from 'mssql-token-pool/testing';

/** A config for both emulators, and a function that stops them. In your code, use your own server and credential. */
export async function withEmulators({ tokenLifetimeSeconds = 5, onQuery } = {}) {
  const entra = await startEntraEmulator({ tokenLifetimeSeconds });
  const server = await startSqlEmulator({ entra, enforceExpiry: 'login', onQuery });
  const { tenantId, clientId, clientSecret, url } = entra;
  return {
    entra,
    config: server.config({ authentication: { tenantId, clientId, clientSecret, authority: url } }),
    /** The next login is refused. */
    failLogin() {
      server.failLogins({ number: 4060, state: 1, class: 14, message: 'Cannot open the database.', count: 1 });
    },
    report() {
      const refused = server.logins.filter((login) => login.error !== undefined).length;
      console.log(`${entra.requests.length} token requests, ${server.logins.length} logins, ${refused} refused`);
      return refused;
    },
    async stop() {
      await server.close();
      await entra.close();
    },
  };
}

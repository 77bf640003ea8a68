/** One process of figures/cold-start.mjs: opens the kind of pool given in its arguments, prints the ms until all rows have arrived. */
import { leadMicrosoftLoginTo } from './microsoft-login.mjs';

const { way, client, config, entra, callers, max } = JSON.parse(process.argv[2]);
const { clientId, clientSecret, appName } = client;
const { tenantId } = entra;
leadMicrosoftLoginTo(entra);

const startedAt = performance.now();
const base = { ...config, pool: { max }, options: { ...config.options, appName } };
const pool = await { ours, secret, identity, msal, kysely }[way]();
const rows = await Promise.all(Array.from({ length: callers }, (_, n) => pool.query(`SELECT ${n} AS n`)));
const wrong = rows.findIndex(({ recordset }, n) => recordset.length !== 1 || recordset[0].n !== n);
const milliseconds = performance.now() - startedAt;
await pool.close();
process.stdout.write(
  wrong === -1 ? milliseconds.toFixed(1) : `caller ${wrong} got ${JSON.stringify(rows[wrong].recordset)}`,
);

async function ours() {
  const { default: sql } = await import('mssql-token-pool/mssql');
  const authentication = { tenantId, clientId, clientSecret };
  return new sql.ConnectionPool({ ...base, authentication }).connect();
}

async function secret() {
  const options = { tenantId, clientId, clientSecret };
  return stock({ type: 'azure-active-directory-service-principal-secret', options });
}

async function identity() {
  const { ClientSecretCredential } = await import('@azure/identity');
  const credential = new ClientSecretCredential(tenantId, clientId, clientSecret);
  return stock({ type: 'token-credential', options: { credential } });
}

async function msal() {
  const { ConfidentialClientApplication } = await import('@azure/msal-node');
  const authority = `https://login.microsoftonline.com/${tenantId}`;
  const application = new ConfidentialClientApplication({ auth: { clientId, clientSecret, authority } });
  const credential = {
    async getToken(scope) {
      const { accessToken, expiresOn } = await application.acquireTokenByClientCredential({ scopes: [scope].flat() });
      return { token: accessToken, expiresOnTimestamp: expiresOn.getTime() };
    },
  };
  return stock({ type: 'token-credential', options: { credential } });
}

async function stock(authentication) {
  const { default: sql } = await import('mssql');
  return new sql.ConnectionPool({ ...base, authentication }).connect();
}

async function kysely() {
  const { ClientSecretCredential } = await import('@azure/identity');
  const { Kysely, MssqlDialect, sql } = await import('kysely');
  const { tarn, tedious } = await import('./peers.mjs');
  const credential = new ClientSecretCredential(tenantId, clientId, clientSecret);
  const { server, port } = config;
  const options = { ...base.options, port };
  const connectionFactory = () =>
    new tedious.Connection({ server, authentication: { type: 'token-credential', options: { credential } }, options });
  const dialect = new MssqlDialect({
    tarn: { ...tarn, options: { min: 0, max, propagateCreateError: true } },
    tedious: { ...tedious, connectionFactory },
    validateConnections: false,
  });
  const db = new Kysely({ dialect });
  return {
    query: async (text) => ({ recordset: (await sql.raw(text).execute(db)).rows }),
    close: () => db.destroy(),
  };
}

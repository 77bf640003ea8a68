// A SQL server that can be killed: same port, same certificate and same trust each time it is started.
import { startSqlEmulator, trustIssuer } from 'mssql-token-pool/testing';

const { issuer, port, certificate } = JSON.parse(process.env.CHAOS);
const WIDE = 'x'.repeat(4_000);
const server = await startSqlEmulator({
  entra: await trustIssuer(issuer),
  port,
  certificate,
  enforceExpiry: 'login',
  // What a slow reader reads: about 8 MB.
  onQuery: (sql) =>
    sql === 'SELECT wide' ? { columns: ['wide'], rows: Array.from({ length: 2_000 }, () => [WIDE]) } : undefined,
});
process.on('message', () => {
  const { open, most } = server.connections;
  const stale = server.logins.filter(({ error }) => error !== undefined);
  process.send?.({ open, most, logins: server.logins.length, refused: stale.map(({ error }) => error?.message) });
});
process.on('disconnect', () => process.exit());
process.send?.({ config: server.config({ authentication: undefined, user: undefined }) });

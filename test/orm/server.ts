import {
  type EntraEmulator,
  type SqlEmulator,
  type SqlSession,
  startEntraEmulator,
  startSqlEmulator,
} from '../../src/testing/index.js';
import { makeTables } from './tsql-on-sqlite.js';

/** An identity provider with short-lived tokens and a server with tables that takes only them. */
export interface Site extends AsyncDisposable {
  entra: EntraEmulator;
  server: SqlEmulator;
  /** Statements outside transactions that were sent over a session whose token had run out. A real server behind the gateway cannot tell. */
  late: string[];
}

export const TOKEN_LIFETIME_MS = 3_000;

/**
 * The SQL emulator with tables of SQLite; or, in `npm run test:container`, a gateway in front of the real server that is
 * tested there.
 */
export async function startSite({ shortTokens = true } = {}): Promise<Site> {
  const short = { tokenLifetimeSeconds: TOKEN_LIFETIME_MS / 1000, refreshInSeconds: 1 };
  const entra = await startEntraEmulator(shortTokens ? short : {});
  const late: string[] = [];
  // Inside a transaction the connection was lent earlier, and is not taken away.
  const note = (sql: string, { tokenExpiry = Number.POSITIVE_INFINITY, transactionDepth }: SqlSession): void => {
    if (Date.now() >= tokenExpiry && transactionDepth === 0) late.push(sql);
  };
  const real = process.env.SERVER_UNDER_TEST;
  const { onQuery, onTransaction } = await makeTables();
  const server = await startSqlEmulator({
    entra,
    ...(real !== undefined
      ? { upstream: { ...JSON.parse(real), options: { encrypt: true, trustServerCertificate: true } } }
      : {
          onTransaction,
          onQuery(sql, parameters, session) {
            note(sql, session);
            return onQuery(sql, parameters, session);
          },
        }),
  });
  return {
    entra,
    server,
    late,
    async [Symbol.asyncDispose]() {
      await server.close();
      await entra.close();
    },
  };
}

import type { ConnectionConfiguration } from 'tedious';
import {
  type EntraEmulator,
  type SqlSession,
  startEntraEmulator,
  startSqlEmulator,
  startSqlGateway,
  type TdsServer,
} from '../../src/testing/index.js';
import { type Ability, has } from './abilities.js';
import { makeTables } from './tsql-on-sqlite.js';

/** An identity provider with short-lived tokens and a server with tables that takes only them. */
export interface Site extends AsyncDisposable {
  entra: EntraEmulator;
  server: TdsServer;
  /** Statements outside transactions that were sent over a session whose token had run out. Not known for a real server behind the gateway. */
  late: string[];
  /** The server can do this. The emulator can do what its `onQuery` has been taught. */
  can(ability: Ability): Promise<boolean>;
}

/** The server that `npm run test:container` was given. */
export const REAL_SERVER = process.env.SERVER_UNDER_TEST;

/** A new session of a real server may need seconds for its first queries, and must not have expired by then. */
export const TOKEN_LIFETIME_MS = REAL_SERVER === undefined ? 3_000 : 20_000;
/** When the first checkout may see a connection as one to be replaced: a quarter of the token's life before its end. */
export const EVICTION_MARGIN_MS = TOKEN_LIFETIME_MS / 4;

/**
 * The SQL emulator with tables of SQLite; or, in `npm run test:container`, a gateway in front of the real server that is
 * tested there.
 */
export async function startSite({ shortTokens = true } = {}): Promise<Site> {
  const short = { tokenLifetimeSeconds: TOKEN_LIFETIME_MS / 1000, refreshInSeconds: TOKEN_LIFETIME_MS / 3000 };
  const entra = await startEntraEmulator(shortTokens ? short : {});
  const late: string[] = [];
  // Inside a transaction the connection was borrowed earlier, and is kept.
  const note = (sql: string, { tokenExpiry = Number.POSITIVE_INFINITY, transactionDepth }: SqlSession): void => {
    if (Date.now() >= tokenExpiry && transactionDepth === 0) late.push(sql);
  };
  const real = REAL_SERVER === undefined ? undefined : (JSON.parse(REAL_SERVER) as RealServer);
  const { onQuery, onTransaction } = await makeTables();
  const server =
    real !== undefined
      ? await startSqlGateway({ entra, upstream: { ...real, options: TRUSTING } })
      : await startSqlEmulator({
          entra,
          onTransaction,
          onQuery(sql, parameters, session, request) {
            note(sql, session);
            return onQuery(sql, parameters, session, request);
          },
        });
  return {
    entra,
    server,
    late,
    can: async (ability) => real === undefined || has(ability, straightTo(real)),
    async [Symbol.asyncDispose]() {
      await server.close();
      await entra.close();
    },
  };
}

/** As scripts/test-container.mjs names it. */
interface RealServer {
  server: string;
  port: number;
  user: string;
  password: string;
}

const TRUSTING = { encrypt: true, trustServerCertificate: true };

/** Bypasses the gateway, and uses nothing of this library. */
function straightTo({ server, port, user, password }: RealServer): ConnectionConfiguration {
  return {
    server,
    authentication: { type: 'default', options: { userName: user, password } },
    options: { port, ...TRUSTING },
  };
}

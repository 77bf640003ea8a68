import type { Connection } from 'tedious';
import type { CachedToken } from '../tokens/cached-token.js';

/** What is known about one physical connection that is logged in. */
export interface Session {
  /** Number of the connection in this process, for events. */
  readonly id: number;
  readonly connection: Connection;
  /** The token it logged in with; undefined for SQL login and NTLM. */
  readonly token: CachedToken | undefined;
  /** Epoch ms. */
  readonly openedAt: number;
}

const sessions = new WeakMap<Connection, Session>();
let count = 0;

/** Records a connection that has just logged in. */
export function openSession(connection: Connection, token: CachedToken | undefined): Session {
  count += 1;
  const session: Session = { id: count, connection, token, openedAt: Date.now() };
  sessions.set(connection, session);
  return session;
}

/** What is known about a connection of ours; undefined for one that something else opened. */
export function sessionOf(connection: Connection): Session | undefined {
  return sessions.get(connection);
}

/** False for a connection that is closed, has failed, or is in the middle of something. Sends nothing. */
export function isReady(connection: Connection): boolean {
  // `state` is not in tedious's documentation, but sequelize and mssql rely on its names too.
  const { closed, hasError, state } = connection as unknown as {
    closed?: boolean;
    hasError?: boolean;
    state?: { name: string };
  };
  return closed !== true && hasError !== true && state?.name === 'LoggedIn';
}

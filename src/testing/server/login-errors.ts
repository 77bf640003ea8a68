import type { TokenFlaw } from '../entra/verification.js';
import { SqlServerError } from '../tds/server-error.js';

/**
 * Azure SQL's answers to refused logins, with numbers, states and texts from published reports. The state is 1 where none
 * is published; SQL Server reveals no more than that to clients.
 */

/** Azure SQL does not name the principal of a token. */
const TOKEN_USER = '<token-identified principal>';

export function tokenRefused(flaw: TokenFlaw): SqlServerError {
  switch (flaw) {
    case 'expired':
      return refused(233, `Login failed for user '${TOKEN_USER}'. Token is expired.`);
    case 'signature':
    case 'issuer':
    case 'audience':
      return refused(
        235,
        `Login failed for user '${TOKEN_USER}'. The server is not currently configured to accept this token.`,
      );
    case 'malformed':
    case 'not-yet-valid':
    case 'revoked':
      return refused(132, `Login failed for user '${TOKEN_USER}'.`);
  }
}

/** The token is valid, but its principal has no user in the database. */
export function noDatabaseUser(): SqlServerError {
  return refused(1, `Login failed for user '${TOKEN_USER}'.`);
}

export function sqlLoginRefused(userName: string): SqlServerError {
  return refused(1, `Login failed for user '${userName}'.`);
}

/** A token was sent to a server that trusts no issuer, such as a plain container. */
export function entraNotConfigured(): SqlServerError {
  return refused(1, "Login failed for user ''.");
}

export function cannotOpenDatabase(database: string): SqlServerError {
  return new SqlServerError({
    number: 4060,
    class: 11,
    message: `Cannot open database "${database}" requested by the login. The login failed.`,
  });
}

/** The gateway cannot reach its server: the error Azure SQL sends while a database is moved. */
export function upstreamUnavailable(database: string, server: string): SqlServerError {
  return new SqlServerError({
    number: 40_613,
    class: 17,
    message: `Database '${database}' on server '${server}' is not currently available.  Please retry the connection later.  If the problem persists, contact customer support, and provide them the session tracing ID of '{00000000-0000-0000-0000-000000000000}'.`,
  });
}

/** The session's token has expired, but the session is still open. */
export function tokenExpiredInSession(): SqlServerError {
  return new SqlServerError({ number: 37_396, class: 16, state: 1 });
}

function refused(state: number, message: string): SqlServerError {
  return new SqlServerError({ number: 18_456, class: 14, state, message });
}

import type { TokenFlaw } from '../entra/verification.js';
import { SqlServerError } from '../tds/server-error.js';

/**
 * What Azure SQL answers to a login it refuses: numbers, states and texts as they were published by people who saw them on
 * the wire. Where no state was published it is 1, which is all that SQL Server reveals to clients.
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

/** The token is good, but its principal has no user in the database. */
export function noDatabaseUser(): SqlServerError {
  return refused(1, `Login failed for user '${TOKEN_USER}'.`);
}

export function sqlLoginRefused(userName: string): SqlServerError {
  return refused(1, `Login failed for user '${userName}'.`);
}

/** A token sent to a server that trusts no issuer, such as a plain container. */
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

/** The gateway cannot reach its server: what Azure SQL says while a database moves. */
export function upstreamUnavailable(database: string, server: string): SqlServerError {
  return new SqlServerError({
    number: 40_613,
    class: 17,
    message: `Database '${database}' on server '${server}' is not currently available.  Please retry the connection later.  If the problem persists, contact customer support, and provide them the session tracing ID of '{00000000-0000-0000-0000-000000000000}'.`,
  });
}

/** The session's token ended while the session lives on. */
export function tokenExpiredInSession(): SqlServerError {
  return new SqlServerError({ number: 37_396, class: 16, state: 1 });
}

function refused(state: number, message: string): SqlServerError {
  return new SqlServerError({ number: 18_456, class: 14, state, message });
}

import type { TokenClaims } from '../entra/verification.js';
import type { ProvenPrincipal } from './session-host.js';

/**
 * Principals and the tables that users key by their names. A table that grants something (`logins`) is for principals
 * proven by a token only, and by names that the issuer vouches for; one that refuses (`principals`) reads names as widely
 * as SQL Server and Entra do. Both hold own keys only: a user may be called `constructor`.
 */

/** The principal of a token whose claims have been verified. */
export function principalOfToken(claims: TokenClaims): ProvenPrincipal {
  const { upn, oid, scp, appid, azp, preferred_username: chosenName } = claims;
  // A token about a user also names the application that got it; it must not pass for that application.
  const isUser = upn !== undefined || scp !== undefined;
  const vouchedFor = (isUser ? [upn, oid] : [appid ?? azp, oid]).filter((name) => typeof name === 'string');
  return {
    // Users change `preferred_username` themselves, so it is for display only.
    principal: String((isUser ? (upn ?? chosenName) : (appid ?? azp)) ?? oid),
    names: vouchedFor,
    tokenExpiry: Math.round(claims.exp * 1000),
    byToken: true,
  };
}

/** The principal of a SQL login, which has no name that a token could have. */
export function principalOfSqlLogin(userName: string): ProvenPrincipal {
  return { principal: userName, names: [], tokenExpiry: undefined, byToken: false };
}

/** What a table grants to a principal proven by a token: Entra ignores the case of letters in user names and ids. */
export function grantedTo<T>({ names }: ProvenPrincipal, table: Readonly<Record<string, T>> = {}): T | undefined {
  const wanted = names.map(withoutCase);
  return Object.entries(table).find(([name]) => wanted.includes(withoutCase(name)))?.[1];
}

/** What a table holds against a principal. */
export function heldAgainst<T>(who: ProvenPrincipal, table: Readonly<Record<string, T>> = {}): T | undefined {
  const found = [...who.names, who.principal].map(asCollationComparesIt);
  return Object.entries(table).find(([name]) => found.includes(asCollationComparesIt(name)))?.[1];
}

/** @throws TypeError where two keys of a table name one principal. */
export function requireDistinct(option: string, table: Readonly<Record<string, unknown>> = {}): void {
  const seen = new Set<string>();
  for (const name of Object.keys(table)) {
    const plain = withoutCase(name);
    if (seen.has(plain)) throw new TypeError(`${option} has two entries for '${name}': letter case does not count`);
    seen.add(plain);
  }
}

/** ASCII letters only: under Unicode rules the Kelvin sign would be a k, and another user's name the same as this one. */
function withoutCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** SQL Server's default collation ignores case, width and trailing blanks. */
function asCollationComparesIt(name: string): string {
  return name.normalize('NFKC').toLowerCase().trimEnd();
}

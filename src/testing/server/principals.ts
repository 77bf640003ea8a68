import type { TokenClaims } from '../entra/verification.js';
import type { ProvenPrincipal } from './session-host.js';

/**
 * Principals, and the option tables keyed by their names. A table that grants access (`logins`) applies only to
 * principals with a valid token, and only to names that the issuer vouches for. A table that refuses access
 * (`principals`) matches names as loosely as SQL Server and Entra do. Both look up own keys only: a user may be called
 * `constructor`.
 */

/** The principal of a token whose claims have been verified. */
export function principalOfToken(claims: TokenClaims): ProvenPrincipal {
  const { upn, oid, scp, appid, azp, preferred_username: chosenName } = claims;
  // A user token also names the application that obtained it, but must not be taken for that application.
  const isUser = upn !== undefined || scp !== undefined;
  const vouchedFor = (isUser ? [upn, oid] : [appid ?? azp, oid]).filter((name) => typeof name === 'string');
  return {
    // Users can change `preferred_username`, so it is for display only.
    principal: String((isUser ? (upn ?? chosenName) : (appid ?? azp)) ?? oid),
    names: vouchedFor,
    tokenExpiry: Math.round(claims.exp * 1000),
    byToken: true,
  };
}

/** The principal of a SQL login, which never matches the name of a token. */
export function principalOfSqlLogin(userName: string): ProvenPrincipal {
  return { principal: userName, names: [], tokenExpiry: undefined, byToken: false };
}

/** What a table grants to a principal with a valid token. Entra ignores case in user names and ids. */
export function grantedTo<T>({ names }: ProvenPrincipal, table: Readonly<Record<string, T>> = {}): T | undefined {
  const wanted = names.map(withoutCase);
  return Object.entries(table).find(([name]) => wanted.includes(withoutCase(name)))?.[1];
}

/** The entry of a table that refuses a principal. */
export function heldAgainst<T>(who: ProvenPrincipal, table: Readonly<Record<string, T>> = {}): T | undefined {
  const found = [...who.names, who.principal].map(asCollationComparesIt);
  return Object.entries(table).find(([name]) => found.includes(asCollationComparesIt(name)))?.[1];
}

/** @throws TypeError if two keys of a table name the same principal. */
export function requireDistinct(option: string, table: Readonly<Record<string, unknown>> = {}): void {
  const seen = new Set<string>();
  for (const name of Object.keys(table)) {
    const plain = withoutCase(name);
    if (seen.has(plain)) throw new TypeError(`${option} has two entries for '${name}': letter case does not count`);
    seen.add(plain);
  }
}

/** ASCII letters only: Unicode folds the Kelvin sign to k, which would make two different user names equal. */
function withoutCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** SQL Server's default collation ignores case, width and trailing blanks. */
function asCollationComparesIt(name: string): string {
  return name.normalize('NFKC').toLowerCase().trimEnd();
}

import { readJwtPayload } from '../credentials/entra/jwt-claims.js';

/**
 * Whose token this is, as far as it states that: the object id, or where there is none the subject, or the application. Two
 * tokens of one principal give the same text, whatever resource or client they are for (P9). Undefined for a token that
 * names none, or cannot be read: such tokens cannot be compared.
 *
 * Without proof: whether the token is genuine is for SQL Server to decide.
 */
export function principalOf(token: string): string | undefined {
  const claims = readJwtPayload(token);
  if (claims === undefined) return undefined;
  const tenant = [claims.tid, claims.iss].find(isText) ?? 'an unnamed tenant';
  // The object id first: `sub` differs from one resource to another, and `appid` from one client to another.
  for (const key of ['oid', 'sub', 'appid', 'azp']) {
    const value = claims[key];
    if (isText(value)) return `${key === 'azp' ? 'appid' : key} ${value} of ${tenant}`;
  }
  return undefined;
}

function isText(claim: unknown): claim is string {
  return typeof claim === 'string' && claim !== '';
}

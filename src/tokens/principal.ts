import { readJwtPayload } from '../credentials/entra/jwt-claims.js';

/**
 * The principal that a token names: the object id, or else the subject, or else the application. Two tokens of one principal
 * give the same string, whatever resource or client they are for (P9). Undefined for a token that names none or cannot
 * be read: such tokens cannot be compared.
 *
 * The signature is not checked: SQL Server decides whether a token is genuine.
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

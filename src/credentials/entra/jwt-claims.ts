import { jsonObject } from './http-request.js';

/** What an access token says about itself, without any proof; for its end and for showing whose it is. */
export interface JwtClaims {
  /** End, epoch ms. */
  expiresOn: number | undefined;
  /** When it was issued, epoch ms. */
  issuedAt: number | undefined;
  /** Application id or user name. */
  id: string | undefined;
  tenantId: string | undefined;
  /** Tenant and object id: the same in every token of one user, application or identity. */
  principal: string | undefined;
}

/** Reads the claims of a JWT (RFC 7519); undefined where the token is none. */
export function readJwtClaims(token: string): JwtClaims | undefined {
  const [, payload, signature] = token.split('.');
  if (payload === undefined || signature === undefined) return undefined;
  const claims = jsonObject(Buffer.from(payload, 'base64url').toString('utf8'));
  if (claims === undefined) return undefined;
  return {
    expiresOn: seconds(claims.exp),
    issuedAt: seconds(claims.iat),
    id: [claims.upn, claims.preferred_username, claims.unique_name, claims.appid, claims.azp].find(isText),
    tenantId: isText(claims.tid) ? claims.tid : undefined,
    principal: isText(claims.tid) && isText(claims.oid) ? `${claims.tid}/${claims.oid}` : undefined,
  };
}

function seconds(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value * 1000 : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

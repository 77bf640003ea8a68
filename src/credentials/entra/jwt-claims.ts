import { ConfigurationError } from '../../errors.js';
import { epochMs } from '../../time.js';
import { jsonObject } from './http-request.js';

/** The claims of an access token, unverified: for its expiry, and to show its principal. */
export interface JwtClaims {
  /** Expiry, epoch ms. */
  expiresOn: number | undefined;
  /** When it was issued, epoch ms. */
  issuedAt: number | undefined;
  /** Application id or user name. */
  id: string | undefined;
  tenantId: string | undefined;
  /** Tenant and object id: the same in every token of one user, application or identity. */
  principal: string | undefined;
}

/** No real token is longer; untrusted text may be. */
const LONGEST_TOKEN = 256 * 1024;

/** Reads the claims of a JWT (RFC 7519); undefined if the token is not one. */
export function readJwtClaims(token: string): JwtClaims | undefined {
  const claims = readJwtPayload(token);
  if (claims === undefined) return undefined;
  return {
    expiresOn: instant(claims.exp),
    issuedAt: instant(claims.iat),
    id: [claims.upn, claims.preferred_username, claims.unique_name, claims.appid, claims.azp].find(isText),
    tenantId: isText(claims.tid) ? claims.tid : undefined,
    principal: isText(claims.tid) && isText(claims.oid) ? `${claims.tid}/${claims.oid}` : undefined,
  };
}

/** The payload of a JWT; undefined if the token is not one. */
export function readJwtPayload(token: string): Record<string, unknown> | undefined {
  if (token.length > LONGEST_TOKEN) return undefined;
  const [, payload, signature] = token.split('.', 3);
  if (payload === undefined || signature === undefined) return undefined;
  return jsonObject(Buffer.from(payload, 'base64url').toString('utf8'));
}

/** The user that an assertion names, unverified. */
export interface AssertedUser {
  /** Tenant and object id: the same in every token of this user, whatever application it is for. */
  principal: string | undefined;
  /** Expiry of the assertion, epoch ms. */
  expiresOn: number | undefined;
}

/** @throws ConfigurationError for text that cannot be a token */
export function userOfAssertion(assertion: unknown): AssertedUser {
  if (typeof assertion !== 'string' || assertion === '' || /\s/.test(assertion)) {
    throw new ConfigurationError("'userAssertion' must be the user's access token, without 'Bearer'.");
  }
  const claims = readJwtClaims(assertion);
  return { principal: claims?.principal, expiresOn: claims?.expiresOn };
}

function instant(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? epochMs(value) : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

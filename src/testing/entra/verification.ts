import { decodeToken, isSignedByOneOf, type JsonWebKeySet } from './json-web-token.js';

/** Claims of an access token. The properties listed here are in every token of the emulator. */
export interface TokenClaims {
  /** Resource the token is for, e.g. `https://database.windows.net`. */
  aud: string;
  iss: string;
  /** Tenant id. */
  tid: string;
  /** Object id of the principal. */
  oid: string;
  sub: string;
  /** Client id of the requesting application (version 1 tokens; `azp` in version 2). */
  appid?: string;
  azp?: string;
  /** User name; absent in tokens of applications. */
  upn?: string;
  /** Seconds since 1970, possibly fractional (RFC 7519 NumericDate). */
  iat: number;
  nbf: number;
  exp: number;
  /** Token id. */
  uti: string;
  ver: '1.0' | '2.0';
  /** Never a claim; distinguishes {@link TokenClaims} from {@link TokenRefusal}. */
  error?: never;
  [claim: string]: unknown;
}

/** Why a token is not accepted. */
export type TokenFlaw = 'malformed' | 'signature' | 'issuer' | 'audience' | 'not-yet-valid' | 'expired' | 'revoked';

/** A rejected token. Has `claims` if they could be read, so that a server can log whose token it was. */
export interface TokenRefusal {
  error: TokenFlaw;
  claims?: TokenClaims;
}

/** What a resource server requires of a token. */
export interface VerifyOptions {
  /** Accepted audiences, compared without a trailing slash. Default: any. */
  audience?: string | readonly string[] | undefined;
  /** The time, epoch ms. Default: now. */
  now?: number | undefined;
}

/** The issuers that a resource server trusts. */
export interface IssuerTrust {
  /** Signing keys, as `jwks_uri` lists them. */
  jwks: JsonWebKeySet;
  /** Accepted issuers (`iss`). */
  issuers: readonly string[];
}

/**
 * Checks an access token as a resource server does: signature, issuer, audience, then times. It needs no emulator, only
 * the keys that every issuer publishes. Returns the claims, or the first error.
 *
 * @example
 * const result = verifyAccessToken(token, { jwks, issuers: [issuer], audience: 'https://database.windows.net' });
 * if (result.error !== undefined) refuse(result.error);
 * else accept(result.oid);
 */
export function verifyAccessToken(token: string, options: IssuerTrust & VerifyOptions): TokenClaims | TokenRefusal {
  const decoded = decodeToken(token);
  if (decoded === undefined) return { error: 'malformed' };
  const claims = decoded.claims as TokenClaims;
  const nowSeconds = (options.now ?? Date.now()) / 1000;
  const flaw = (): TokenFlaw | undefined => {
    if (!isSignedByOneOf(token, decoded.header, options.jwks)) return 'signature';
    if (!options.issuers.includes(claims.iss)) return 'issuer';
    if (!isAudience(claims.aud, options.audience)) return 'audience';
    if (claims.nbf > nowSeconds) return 'not-yet-valid';
    if (!(claims.exp > nowSeconds)) return 'expired';
    return undefined;
  };
  const error = flaw();
  return error === undefined ? claims : { error, claims };
}

function isAudience(actual: unknown, accepted: string | readonly string[] | undefined): boolean {
  if (accepted === undefined) return true;
  const names = typeof accepted === 'string' ? [accepted] : accepted;
  return typeof actual === 'string' && names.some((name) => withoutSlash(name) === withoutSlash(actual));
}

/** `https://database.windows.net` and `https://database.windows.net/` are one resource; both occur in `aud`. */
function withoutSlash(uri: string): string {
  return uri.replace(/\/$/, '');
}

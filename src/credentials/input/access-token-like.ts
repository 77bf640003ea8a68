import { ConfigurationError } from '../../errors.js';
import type { AccessToken } from '../credential.js';
import { readJwtClaims } from '../entra/jwt-claims.js';

/** A token from the caller, in any of the common shapes: a string, that of `@azure/core-auth`, or that of MSAL. */
export type AccessTokenLike =
  | string
  | AccessToken
  | { token: string; expiresOn?: number | string | Date | undefined }
  | { accessToken: string; expiresOn?: Date | null | undefined };

/**
 * The token with its expiry in epoch ms: as given, or from the `exp` of the token, whichever is earlier.
 *
 * Skew: a token that appears to be issued in the future shows that this machine's clock is slow by at least that much.
 * The token would count as valid for too long, so its expiry is moved to an earlier time by the same amount. A fast
 * clock only shortens the token's life a little.
 *
 * @throws ConfigurationError if the token is not a string or its expiry is unknown
 */
export function readAccessToken(given: unknown, what: string): AccessToken {
  const { token, end, rest } = takeApart(given, what);
  const claims = readJwtClaims(token);
  const slowBy = Math.max(0, (claims?.issuedAt ?? 0) - Date.now());
  const expires = Math.min(end ?? Number.POSITIVE_INFINITY, (claims?.expiresOn ?? Number.POSITIVE_INFINITY) - slowBy);
  if (!Number.isFinite(expires)) {
    throw new ConfigurationError(`The expiry of ${what} is unknown: it is not a JWT with 'exp'.`, {
      hint: "Return 'expiresOn' with it: epoch ms, a Date, or an ISO 8601 string.",
    });
  }
  return { ...rest, token, expiresOnTimestamp: expires };
}

function takeApart(
  given: unknown,
  what: string,
): { token: string; end: number | undefined; rest: Partial<AccessToken> } {
  if (typeof given === 'string') return { token: bearer(given, what), end: undefined, rest: {} };
  const object = (typeof given === 'object' && given !== null ? given : {}) as Record<string, unknown>;
  const token = bearer(object.token ?? object.accessToken, what);
  const { refreshAfterTimestamp, tokenType } = object as Partial<AccessToken>;
  return {
    token,
    end: instant(object.expiresOnTimestamp ?? object.expiresOn, what),
    rest: { refreshAfterTimestamp, tokenType },
  };
}

function bearer(value: unknown, what: string): string {
  const token =
    typeof value === 'string'
      ? value
          .trim()
          .replace(/^Bearer\s/i, '')
          .trimStart()
      : '';
  if (token !== '' && !/\s/.test(token)) return token;
  throw new ConfigurationError(`${capital(what)} must be an access token: a string without spaces.`);
}

function instant(value: unknown, what: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  const at = value instanceof Date ? value.getTime() : typeof value === 'string' ? Date.parse(value) : value;
  if (typeof at !== 'number' || !Number.isFinite(at)) {
    throw new ConfigurationError(`'expiresOn' of ${what} must be epoch ms, a Date, or an ISO 8601 string.`);
  }
  if (at < 1e11) throw new ConfigurationError(`'expiresOn' of ${what} is in seconds; it must be epoch milliseconds.`);
  return at;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

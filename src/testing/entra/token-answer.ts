import { type IssuedToken, isRevocable } from './token-issuer.js';
import type { TokenRequest } from './token-request.js';

/** Body of a successful answer of the token endpoint. */
export type TokenAnswer = Record<string, string | number>;

/** Version 1 answers write numbers as strings and include the resource. */
export function tokenAnswer(
  request: TokenRequest,
  issued: IssuedToken,
  details: { resource: string; scope?: string },
): TokenAnswer {
  const { claims } = issued;
  const expiresIn = lifeLeft(claims.exp, request.issuer.now);
  // For long-lived tokens, the answer asks for a refresh after half their lifetime.
  const half = isRevocable(claims) ? Math.floor(expiresIn / 2) : undefined;
  const refreshIn = request.issuer.refreshInSeconds ?? half;
  if (request.version === 2) {
    return {
      token_type: 'Bearer',
      ...(details.scope === undefined ? {} : { scope: details.scope }),
      expires_in: expiresIn,
      ext_expires_in: expiresIn,
      ...(refreshIn === undefined ? {} : { refresh_in: refreshIn }),
      access_token: issued.token,
    };
  }
  return {
    token_type: 'Bearer',
    expires_in: String(expiresIn),
    ext_expires_in: String(expiresIn),
    ...(refreshIn === undefined ? {} : { refresh_in: String(refreshIn) }),
    expires_on: String(claims.exp),
    not_before: String(claims.nbf),
    resource: details.resource,
    access_token: issued.token,
  };
}

/** Seconds left: rounded down if the token expires on a whole second (3599 for a fresh hour, as in Entra), else exact. */
export function lifeLeft(exp: number, now: number): number {
  const left = exp - now / 1000;
  return Number.isInteger(exp) ? Math.max(0, Math.floor(left)) : Math.round(left * 1000) / 1000;
}

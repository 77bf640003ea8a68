import { type IssuedToken, isRevocable } from './token-issuer.js';
import type { TokenRequest } from './token-request.js';

/** Body of a successful answer of the token endpoint. */
export type TokenAnswer = Record<string, string | number>;

/** Version 2 answers have numbers where version 1 has text, and version 1 names the resource. */
export function tokenAnswer(
  request: TokenRequest,
  issued: IssuedToken,
  details: { resource: string; scope?: string },
): TokenAnswer {
  const { claims } = issued;
  const expiresIn = lifeLeft(claims.exp, request.issuer.now);
  // Long-lived tokens come with the request to be renewed at half of their life.
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

/** Seconds left: whole ones where the token ends on a whole second (3599 for a fresh hour, as Entra says), else exact. */
export function lifeLeft(exp: number, now: number): number {
  const left = exp - now / 1000;
  return Number.isInteger(exp) ? Math.max(0, Math.floor(left)) : Math.round(left * 1000) / 1000;
}

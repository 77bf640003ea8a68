import { TokenExpiredError } from '../../errors.js';
import type { Credential } from '../credential.js';
import { defineCredential } from '../define-credential.js';
import { readJwtClaims } from '../entra/jwt-claims.js';
import { readAccessToken } from '../input/access-token-like.js';
import { defineMethod } from './method.js';

/** A token obtained elsewhere. It cannot be renewed: new logins fail once it has expired. */
export interface AccessTokenOptions {
  method?: 'access-token' | undefined;
  /** The access token. */
  token: string;
  /** When it expires: epoch ms, a Date, or an ISO 8601 string. Default: the `exp` of the token. */
  expiresOn?: number | Date | string | undefined;
}

const HINT = 'Instead, pass a function that returns a new token, or let this library get tokens with a credential.';

/** @throws ConfigurationError for text that is not a token; TokenExpiredError from getToken() after its expiry */
export function staticToken(options: AccessTokenOptions): Credential {
  const given = readAccessToken({ token: options.token, expiresOn: options.expiresOn }, "the static token 'token'");
  const claims = readJwtClaims(given.token);
  return defineCredential({
    method: 'access-token',
    id: claims?.id,
    tenantId: claims?.tenantId,
    identity: [given.token],
    async request() {
      if (given.expiresOnTimestamp > Date.now()) return given;
      const ended = new Date(given.expiresOnTimestamp).toISOString();
      throw new TokenExpiredError(`The static access token expired at ${ended}.`, { hint: HINT });
    },
  });
}

export const accessTokenMethod = defineMethod<AccessTokenOptions>({
  name: 'access-token',
  options: { token: true, expiresOn: true },
  impliedBy: ['token'],
  create: staticToken,
});

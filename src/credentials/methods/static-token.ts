import { TokenExpiredError } from '../../errors.js';
import type { Credential } from '../credential.js';
import { defineCredential } from '../define-credential.js';
import { readJwtClaims } from '../entra/jwt-claims.js';
import { readGivenToken } from '../input/given-token.js';

/** A token that somebody else got. It cannot be renewed: when it ends, so do new logins. */
export interface StaticTokenOptions {
  method?: 'access-token' | undefined;
  /** The access token. */
  token: string;
  /** When it ends: epoch ms, a Date, or an ISO 8601 string. Default: the `exp` of the token. */
  expiresOn?: number | Date | string | undefined;
}

const HINT = 'Give a function that returns a new token instead, or let this library get it with a credential.';

/** @throws ConfigurationError for something that is no token; TokenExpiredError when asked after its end */
export function staticToken(options: StaticTokenOptions): Credential {
  const given = readGivenToken({ token: options.token, expiresOn: options.expiresOn }, "the static token 'token'");
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

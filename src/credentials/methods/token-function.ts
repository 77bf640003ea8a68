import { ConfigurationError, TokenUnavailableError } from '../../errors.js';
import type { Credential, GetTokenOptions } from '../credential.js';
import { defineCredential } from '../define-credential.js';
import { type AccessTokenLike, readAccessToken } from '../input/access-token-like.js';

/** The argument of a token function. */
export interface TokenFunctionRequest extends GetTokenOptions {
  /** Scope of the token, e.g. `https://database.windows.net/.default`. */
  scope: string;
}

/** A function that gets a token. It should get a new one on each call; it is called only when one is due. */
export type TokenFunction = (request: TokenFunctionRequest) => AccessTokenLike | Promise<AccessTokenLike>;

/** @throws ConfigurationError if `getToken` is not a function */
export function tokenFunction(getToken: TokenFunction): Credential {
  if (typeof getToken !== 'function') throw new ConfigurationError('A token function must be a function.');
  return defineCredential({
    method: 'token-function',
    identity: [getToken],
    async request(scope, options) {
      const given = await getToken({ ...options, scope });
      if (given === null || given === undefined) {
        throw new TokenUnavailableError('The token function returned nothing.', {
          hint: 'It must return the access token, or { token, expiresOn }.',
        });
      }
      return readAccessToken(given, 'the result of the token function');
    },
  });
}

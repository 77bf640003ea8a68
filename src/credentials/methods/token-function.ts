import { ConfigurationError, TokenUnavailableError } from '../../errors.js';
import type { Credential, GetTokenOptions } from '../credential.js';
import { defineCredential } from '../define-credential.js';
import { type GivenToken, readGivenToken } from '../input/given-token.js';

/** What a token function is told. */
export interface TokenFunctionRequest extends GetTokenOptions {
  /** Scope of the token, e.g. `https://database.windows.net/.default`. */
  scope: string;
}

/** The caller's own way of getting a token. It should get a new one on each call; we call it only when one is due. */
export type TokenFunction = (request: TokenFunctionRequest) => GivenToken | Promise<GivenToken>;

/** @throws ConfigurationError if `getToken` is no function */
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
      return readGivenToken(given, "the token function's answer");
    },
  });
}

import { ConfigurationError } from '../../errors.js';
import type { Credential, TokenCredential } from '../credential.js';
import { defineCredential } from '../define-credential.js';
import { property } from '../entra/redact.js';
import { shareIdentity } from '../identity.js';
import { defineMethod } from './method.js';

/** The caller's own credential object: one of `@azure/identity`, or any object with `getToken`. */
export interface TokenCredentialOptions {
  method?: 'token-credential' | undefined;
  credential: TokenCredential;
}

/**
 * A credential of this library is returned unchanged; any other gets a `principal` that has only the method. Both
 * keep the identity of the credential object, and therefore one token cache, however often it is passed.
 *
 * @throws ConfigurationError for an object without getToken()
 */
export function givenCredential({ credential }: TokenCredentialOptions): Credential {
  if (typeof property(credential, 'getToken') !== 'function') {
    throw new ConfigurationError("'credential' must have a function getToken(scopes, options).", {
      hint: 'Any credential of @azure/identity works. A deep copy of a credential does not: copying loses its methods.',
    });
  }
  if ('principal' in credential) return credential as Credential;
  const wrapper = defineCredential({
    method: 'token-credential',
    identity: [credential],
    // async: the caller's own getToken() may return something that is not a promise.
    request: async (scope, options) => credential.getToken(scope, options),
  });
  shareIdentity(wrapper, credential);
  return wrapper;
}

export const tokenCredentialMethod = defineMethod<TokenCredentialOptions>({
  name: 'token-credential',
  options: { credential: true },
  impliedBy: ['credential'],
  create: givenCredential,
});

import { ConfigurationError } from '../../errors.js';
import type { Credential, TokenCredential } from '../credential.js';
import { defineCredential } from '../define-credential.js';
import { shareIdentity } from '../identity.js';

/** The caller's own credential, ready made: `@azure/identity`'s or any object with `getToken`. */
export interface GivenCredentialOptions {
  method?: 'token-credential' | undefined;
  credential: TokenCredential;
}

/**
 * Ours as it is; anybody else's with a `principal` that says only that. Either way it is the identity of the credential
 * given, so that it has one token cache however often it is given.
 */
export function givenCredential({ credential }: GivenCredentialOptions): Credential {
  if (typeof credential?.getToken !== 'function') {
    throw new ConfigurationError("'credential' must have a function getToken(scopes, options).", {
      hint: 'Any credential of @azure/identity will do.',
    });
  }
  if ('principal' in credential) return credential as Credential;
  const wrapper = defineCredential({
    method: 'token-credential',
    identity: [credential],
    request: (scope, options) => credential.getToken(scope, options),
  });
  shareIdentity(wrapper, credential);
  return wrapper;
}

import type { Credential, Secret } from '../credential.js';
import { currentSecret } from '../entra/msal.js';
import { requireSecret } from '../input/require-option.js';
import { type ApplicationOptions, applicationCredential, type Proving } from './application.js';

/** An application that proves who it is by a token of another issuer that Entra was told to trust (workload federation). */
export interface ClientAssertionOptions extends ApplicationOptions {
  method?: 'client-assertion' | undefined;
  /** The other issuer's token, a JWT; a function is called for each token request. */
  assertion: Secret;
}

/** @throws ConfigurationError naming the key */
export function clientAssertion(options: ClientAssertionOptions): Credential {
  return applicationCredential(options, proveByAssertion(options));
}

/** @throws ConfigurationError naming the key */
export function proveByAssertion(options: Omit<ClientAssertionOptions, keyof ApplicationOptions | 'method'>): Proving {
  const assertion = requireSecret(options.assertion, 'assertion');
  return {
    method: 'client-assertion',
    noun: 'assertion',
    identity: [assertion],
    async prove() {
      const jwt = await currentSecret(assertion, 'assertion');
      return { proof: { clientAssertion: jwt }, secrets: [jwt] };
    },
  };
}

import type { Credential, Secret } from '../credential.js';
import { currentSecret } from '../entra/msal.js';
import { requireSecret } from '../input/require-option.js';
import { type ApplicationOptions, applicationCredential, type Proving } from './application.js';

/** An application that proves who it is by a client secret. */
export interface ServicePrincipalSecretOptions extends ApplicationOptions {
  method?: 'service-principal-secret' | undefined;
  /** Value of the secret, not its id; a function where it rotates. */
  clientSecret: Secret;
}

/** @throws ConfigurationError naming the key */
export function servicePrincipalSecret(options: ServicePrincipalSecretOptions): Credential {
  return applicationCredential(options, proveBySecret(options));
}

/** @throws ConfigurationError naming the key */
export function proveBySecret(
  options: Omit<ServicePrincipalSecretOptions, keyof ApplicationOptions | 'method'>,
): Proving {
  const clientSecret = requireSecret(options.clientSecret, 'clientSecret');
  return {
    method: 'service-principal-secret',
    noun: 'client secret',
    identity: [clientSecret],
    async prove() {
      const secret = await currentSecret(clientSecret, 'clientSecret');
      return { proof: { clientSecret: secret }, secrets: [secret] };
    },
  };
}

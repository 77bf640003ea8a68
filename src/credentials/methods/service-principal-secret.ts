import type { Credential, Secret } from '../credential.js';
import { currentSecret } from '../input/current-secret.js';
import { requireSecret } from '../input/require-option.js';
import { APPLICATION_OPTIONS, type ApplicationOptions, applicationCredential, type Prover } from './application.js';
import { defineMethod } from './method.js';

/** An application that proves its identity with a client secret. */
export interface ServicePrincipalSecretOptions extends ApplicationOptions {
  method?: 'service-principal-secret' | undefined;
  /** Value of the secret, not its id; a function if it rotates. A line break at the end is ignored. */
  clientSecret: Secret;
}

/** @throws ConfigurationError naming the option */
export function servicePrincipalSecret(options: ServicePrincipalSecretOptions): Credential {
  return applicationCredential(options, proveBySecret(options));
}

/** @throws ConfigurationError naming the option */
export function proveBySecret(
  options: Omit<ServicePrincipalSecretOptions, keyof ApplicationOptions | 'method'>,
): Prover {
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

export const servicePrincipalSecretMethod = defineMethod<ServicePrincipalSecretOptions>({
  name: 'service-principal-secret',
  options: { ...APPLICATION_OPTIONS, clientSecret: true },
  impliedBy: ['clientSecret'],
  create: servicePrincipalSecret,
});

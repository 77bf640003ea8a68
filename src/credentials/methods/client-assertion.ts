import type { Credential, Secret } from '../credential.js';
import { federationHint } from '../entra/federation-hint.js';
import { currentJwt } from '../input/current-secret.js';
import { requireSecret } from '../input/require-option.js';
import { APPLICATION_OPTIONS, type ApplicationOptions, applicationCredential, type Prover } from './application.js';
import { defineMethod } from './method.js';

/**
 * An application that proves its identity with the token of another issuer that the app registration trusts (workload
 * identity federation). For GitHub Actions, Google Cloud, AWS and the like, `federated` gets that token by itself.
 */
export interface ClientAssertionOptions extends ApplicationOptions {
  method?: 'client-assertion' | undefined;
  /** The other issuer's token, a JWT; a function is called for each token request. */
  assertion: Secret;
}

/** @throws ConfigurationError naming the option */
export function clientAssertion(options: ClientAssertionOptions): Credential {
  return applicationCredential(options, proveByAssertion(options));
}

/** @throws ConfigurationError naming the option */
export function proveByAssertion(options: Omit<ClientAssertionOptions, keyof ApplicationOptions | 'method'>): Prover {
  const assertion = requireSecret(options.assertion, 'assertion');
  return {
    method: 'client-assertion',
    noun: 'assertion',
    identity: [assertion],
    async prove() {
      const jwt = await currentJwt(assertion, 'assertion');
      return { proof: { clientAssertion: jwt }, secrets: [jwt], explain: (aadsts) => federationHint(jwt, aadsts) };
    },
  };
}

export const clientAssertionMethod = defineMethod<ClientAssertionOptions>({
  name: 'client-assertion',
  options: { ...APPLICATION_OPTIONS, assertion: true },
  impliedBy: ['assertion'],
  create: clientAssertion,
});

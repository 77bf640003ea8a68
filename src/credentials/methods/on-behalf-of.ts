import { ConfigurationError } from '../../errors.js';
import type { Credential, Secret } from '../credential.js';
import { currentSecret } from '../input/current-secret.js';
import { requireSecret } from '../input/require-option.js';
import { APPLICATION_OPTIONS, type ApplicationOptions, applicationCredential, type Prover } from './application.js';
import { type ClientAssertionOptions, proveByAssertion } from './client-assertion.js';
import { defineMethod } from './method.js';
import { CERTIFICATE_OPTIONS, type CertificateOptions, proveByCertificate } from './service-principal-certificate.js';
import { proveBySecret, type ServicePrincipalSecretOptions } from './service-principal-secret.js';

type ProofOptions = CertificateOptions &
  Partial<Pick<ServicePrincipalSecretOptions, 'clientSecret'> & Pick<ClientAssertionOptions, 'assertion'>>;

/** The application that exchanges its caller's token. It proves its identity with a secret, certificate or assertion. */
export type OnBehalfOfApplication = ApplicationOptions & ProofOptions;

/** An application that a person calls, and that calls SQL Server as that person. */
export type OnBehalfOfOptions = OnBehalfOfApplication & {
  method?: 'on-behalf-of' | undefined;
  /** The access token of the person's call, without `Bearer`. Its audience is this application. */
  userAssertion: Secret;
};

/**
 * The credential of one person. For many see {@link OnBehalfOfTokens}.
 *
 * @throws ConfigurationError naming the option
 */
export function onBehalfOf(options: OnBehalfOfOptions): Credential {
  const userAssertion = requireSecret(options.userAssertion, 'userAssertion');
  return applicationCredential(options, proofOf(options), {
    method: 'on-behalf-of',
    noun: 'on-behalf-of request',
    identity: [userAssertion],
    person: true,
    ask: async (app, request) => {
      const oboAssertion = await currentSecret(userAssertion, 'userAssertion');
      return app.acquireTokenOnBehalfOf({ ...request, oboAssertion });
    },
  });
}

function proofOf(options: ProofOptions): Prover {
  const { clientSecret, certificate, certificatePath, assertion } = options;
  const given = [clientSecret, certificate ?? certificatePath, assertion].filter((proof) => proof !== undefined);
  if (given.length !== 1) {
    throw new ConfigurationError("Give one of 'clientSecret', 'certificate', 'certificatePath' and 'assertion'.", {
      hint: 'The on-behalf-of flow needs a proof of the application as well.',
    });
  }
  if (clientSecret !== undefined) return proveBySecret({ clientSecret });
  return assertion === undefined ? proveByCertificate(options) : proveByAssertion({ assertion });
}

export const onBehalfOfMethod = defineMethod<OnBehalfOfOptions>({
  name: 'on-behalf-of',
  options: { ...APPLICATION_OPTIONS, ...CERTIFICATE_OPTIONS, clientSecret: true, assertion: true, userAssertion: true },
  impliedBy: ['userAssertion'],
  create: onBehalfOf,
});

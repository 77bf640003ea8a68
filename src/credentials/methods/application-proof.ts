import { ConfigurationError } from '../../errors.js';
import type { Prover } from './application.js';
import { type ClientAssertionOptions, proveByAssertion } from './client-assertion.js';
import type { OptionNames } from './method.js';
import { CERTIFICATE_OPTIONS, type CertificateOptions, proveByCertificate } from './service-principal-certificate.js';
import { proveBySecret, type ServicePrincipalSecretOptions } from './service-principal-secret.js';

/** The proof of an application, for methods that need other options as well; set one of these. */
export type ApplicationProofOptions = CertificateOptions &
  Partial<Pick<ServicePrincipalSecretOptions, 'clientSecret'> & Pick<ClientAssertionOptions, 'assertion'>>;

/** Names of {@link ApplicationProofOptions}. */
export const APPLICATION_PROOF_OPTIONS: OptionNames<ApplicationProofOptions> = {
  ...CERTIFICATE_OPTIONS,
  clientSecret: true,
  assertion: true,
};

/** @throws ConfigurationError unless exactly one proof is given */
export function proofOf(options: ApplicationProofOptions, flow: string): Prover {
  const { clientSecret, certificate, certificatePath, assertion } = options;
  const given = [clientSecret, certificate ?? certificatePath, assertion].filter((proof) => proof !== undefined);
  if (given.length !== 1) {
    throw new ConfigurationError("Set one of 'clientSecret', 'certificate', 'certificatePath' and 'assertion'.", {
      hint: `The ${flow} also needs a proof of the application.`,
    });
  }
  if (clientSecret !== undefined) return proveBySecret({ clientSecret });
  return assertion === undefined ? proveByCertificate(options) : proveByAssertion({ assertion });
}

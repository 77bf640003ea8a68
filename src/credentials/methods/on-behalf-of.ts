import { ConfigurationError } from '../../errors.js';
import type { Credential, Secret } from '../credential.js';
import { currentSecret } from '../entra/msal.js';
import { requireSecret } from '../input/require-option.js';
import { type ApplicationOptions, applicationCredential, type Proving } from './application.js';
import { type ClientAssertionOptions, proveByAssertion } from './client-assertion.js';
import { proveByCertificate, type ServicePrincipalCertificateOptions } from './service-principal-certificate.js';
import { proveBySecret, type ServicePrincipalSecretOptions } from './service-principal-secret.js';

type ProofOptions = Partial<
  Omit<ServicePrincipalSecretOptions, 'method'> &
    Omit<ServicePrincipalCertificateOptions, 'method'> &
    Omit<ClientAssertionOptions, 'method'>
>;

/** The application that calls on with its caller's token; it proves who it is by secret, certificate or assertion. */
export type OnBehalfOfApplication = ApplicationOptions & Omit<ProofOptions, keyof ApplicationOptions>;

/** An application that was called by a person, and calls SQL Server as that person. */
export type OnBehalfOfOptions = OnBehalfOfApplication & {
  method?: 'on-behalf-of' | undefined;
  /** The access token that the person's call brought along, without `Bearer`. Its audience is this application. */
  userAssertion: Secret;
};

/**
 * One person's credential. For many persons see {@link OnBehalfOfTokens}.
 *
 * @throws ConfigurationError naming the key
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

function proofOf(options: ProofOptions): Proving {
  const { clientSecret, certificate, certificatePath, assertion } = options;
  const given = [clientSecret, certificate ?? certificatePath, assertion].filter((proof) => proof !== undefined);
  if (given.length !== 1) {
    throw new ConfigurationError("Give one of 'clientSecret', 'certificate', 'certificatePath' and 'assertion'.", {
      hint: 'On behalf of a person asks for a proof of the application too.',
    });
  }
  if (clientSecret !== undefined) return proveBySecret({ clientSecret });
  return assertion === undefined ? proveByCertificate(options) : proveByAssertion({ assertion });
}

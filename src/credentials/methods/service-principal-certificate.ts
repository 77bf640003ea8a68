import { ConfigurationError, ProofUnavailableError } from '../../errors.js';
import {
  type ClientCertificate,
  checkCertificate,
  LARGEST_CERTIFICATE_FILE,
  readCertificate,
} from '../certificate/certificate.js';
import type { Credential, Secret } from '../credential.js';
import { errorCode, redactedCause } from '../entra/redact.js';
import { currentSecret, withoutTrailingNewline } from '../input/current-secret.js';
import { readStart } from '../input/read-file.js';
import { optionalText, requireSecret } from '../input/require-option.js';
import { twice } from '../input/twice.js';
import { APPLICATION_OPTIONS, type ApplicationOptions, applicationCredential, type Prover } from './application.js';
import { defineMethod, type OptionNames } from './method.js';

/** A certificate and its password. Give `certificate` or `certificatePath`. */
export interface CertificateOptions {
  /** Certificate and private key: PEM text, PFX bytes, or PFX as base64 (what Key Vault returns). */
  certificate?: string | Uint8Array | undefined;
  /** A PEM or PFX file. It is read for each token request, so that a renewed certificate is used. */
  certificatePath?: string | undefined;
  /** Password of the PFX file or of the encrypted private key. */
  certificatePassword?: Secret | undefined;
  /** Send the certificate chain (`x5c`), for applications that trust by subject name and issuer. Default false. */
  sendCertificateChain?: boolean | undefined;
}

/** Names of {@link CertificateOptions}. */
export const CERTIFICATE_OPTIONS: OptionNames<CertificateOptions> = {
  certificate: true,
  certificatePath: true,
  certificatePassword: true,
  sendCertificateChain: true,
};

/** An application that proves its identity with a certificate. */
export interface ServicePrincipalCertificateOptions extends ApplicationOptions, CertificateOptions {
  method?: 'service-principal-certificate' | undefined;
}

/** @throws ConfigurationError naming the option; for a file, ProofUnavailableError at a token request */
export function servicePrincipalCertificate(options: ServicePrincipalCertificateOptions): Credential {
  return applicationCredential(options, proveByCertificate(options));
}

/** @throws ConfigurationError naming the option */
export function proveByCertificate(options: CertificateOptions): Prover {
  const { certificate, certificatePassword, sendCertificateChain = false } = options;
  const path = optionalText(options.certificatePath, 'certificatePath');
  if ((certificate === undefined) === (path === undefined)) {
    throw new ConfigurationError("Give either 'certificate' or 'certificatePath'.");
  }
  if (certificatePassword !== undefined) requireSecret(certificatePassword, 'certificatePassword');
  // A wrong value is reported now, not at the first login, provided that its password is already known.
  if (certificate !== undefined && typeof certificatePassword !== 'function') {
    const password = certificatePassword === undefined ? undefined : withoutTrailingNewline(certificatePassword);
    checkCertificate(certificate, password, 'certificate');
  }
  const fingerprintable = typeof certificate === 'object' ? Buffer.from(certificate).toString('base64') : certificate;

  return {
    method: 'service-principal-certificate',
    noun: 'certificate',
    identity: [fingerprintable, path, certificatePassword, sendCertificateChain],
    async prove() {
      const password =
        certificatePassword === undefined ? undefined : await currentSecret(certificatePassword, 'certificatePassword');
      const { thumbprintSha256, privateKey, chain } =
        certificate === undefined
          ? await twice(() => readCertificateFile(path ?? '', password))
          : await readCertificate(certificate, password, 'certificate');
      return {
        proof: { clientCertificate: { thumbprintSha256, privateKey, ...(sendCertificateChain ? { x5c: chain } : {}) } },
        secrets: [privateKey, ...(password === undefined ? [] : [password])],
      };
    },
  };
}

/** A fault in a file or its password may disappear when the file's writer has finished; nothing has been sent yet. */
async function readCertificateFile(path: string, password: string | undefined): Promise<ClientCertificate> {
  const option = 'certificatePath';
  try {
    return await readCertificate(await readStart(path, LARGEST_CERTIFICATE_FILE), password, option);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) {
      throw new ProofUnavailableError(`The file in '${option}' cannot be read (${errorCode(error) ?? 'unknown'}).`, {
        cause: redactedCause(error, [path]),
        hint: `Check that it exists, that this process may read it, and that its writer is running. ${READ_AGAIN}`,
      });
    }
    const { message, hint } = error;
    throw new ProofUnavailableError(message, { hint: hint === undefined ? READ_AGAIN : `${hint} ${READ_AGAIN}` });
  }
}

const READ_AGAIN = 'The file is read again soon, and for each request.';

export const servicePrincipalCertificateMethod = defineMethod<ServicePrincipalCertificateOptions>({
  name: 'service-principal-certificate',
  options: { ...APPLICATION_OPTIONS, ...CERTIFICATE_OPTIONS },
  impliedBy: ['certificate', 'certificatePath'],
  create: servicePrincipalCertificate,
});

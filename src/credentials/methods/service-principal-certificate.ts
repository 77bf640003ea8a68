import { readFile } from 'node:fs/promises';
import { ConfigurationError } from '../../errors.js';
import { readCertificate } from '../certificate/certificate.js';
import type { Credential, Secret } from '../credential.js';
import { currentSecret } from '../entra/msal.js';
import { optionalText, requireSecret } from '../input/require-option.js';
import { type ApplicationOptions, applicationCredential, type Proving } from './application.js';

/** An application that proves who it is by a certificate. Give `certificate` or `certificatePath`. */
export interface ServicePrincipalCertificateOptions extends ApplicationOptions {
  method?: 'service-principal-certificate' | undefined;
  /** Certificate and private key: PEM text, PFX bytes, or PFX as base64 (what Key Vault gives). */
  certificate?: string | Uint8Array | undefined;
  /** A PEM or PFX file; read for each token request, so that a renewed one is used. */
  certificatePath?: string | undefined;
  /** Password of the PFX file or of the encrypted private key. */
  certificatePassword?: Secret | undefined;
  /** Send the chain along (`x5c`), for applications that trust by subject name and issuer. Default false. */
  sendCertificateChain?: boolean | undefined;
}

/** @throws ConfigurationError naming the key; for a file when a token is asked for */
export function servicePrincipalCertificate(options: ServicePrincipalCertificateOptions): Credential {
  return applicationCredential(options, proveByCertificate(options));
}

/** @throws ConfigurationError naming the key */
export function proveByCertificate(
  options: Omit<ServicePrincipalCertificateOptions, keyof ApplicationOptions | 'method'>,
): Proving {
  const { certificate, certificatePassword, sendCertificateChain = false } = options;
  const path = optionalText(options.certificatePath, 'certificatePath');
  if ((certificate === undefined) === (path === undefined)) {
    throw new ConfigurationError("Give either 'certificate' or 'certificatePath'.");
  }
  if (certificatePassword !== undefined) requireSecret(certificatePassword, 'certificatePassword');
  // A value is wrong for good: say so at once, where the password is at hand.
  if (certificate !== undefined && typeof certificatePassword !== 'function') {
    readCertificate(certificate, certificatePassword, 'certificate');
  }
  const fingerprintable = typeof certificate === 'object' ? Buffer.from(certificate).toString('base64') : certificate;

  return {
    method: 'service-principal-certificate',
    noun: 'certificate',
    identity: [fingerprintable, path, certificatePassword, sendCertificateChain],
    async prove() {
      const password =
        certificatePassword === undefined ? undefined : await currentSecret(certificatePassword, 'certificatePassword');
      const content = certificate ?? (await readCertificateFile(path ?? ''));
      const { thumbprintSha256, privateKey, chain } = readCertificate(
        content,
        password,
        certificate === undefined ? 'certificatePath' : 'certificate',
      );
      return {
        proof: { clientCertificate: { thumbprintSha256, privateKey, ...(sendCertificateChain ? { x5c: chain } : {}) } },
        secrets: [privateKey, ...(password === undefined ? [] : [password])],
      };
    },
  };
}

async function readCertificateFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new ConfigurationError(`The file in 'certificatePath' cannot be read (${code}).`, { cause });
  }
}

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { ConfigurationError } from '../../errors.js';
import { type KeyDerivation, runLater, runNow } from './key-derivation.js';
import { certificateBlocks, type PemBlock } from './pem.js';
import { openEncryptedKey, openPkcs12, Rc2PfxError, WrongPfxPassword } from './pkcs12.js';

/** A certificate with its chain and key has some 10 KiB. */
export const LARGEST_CERTIFICATE_FILE = 128 * 1024;

/** Environment variables and secret stores often lose line breaks. */
const WHOLE_PEM = 'Pass all of it, from -----BEGIN to the last -----END, with its line breaks.';

const RE_EXPORT =
  'openssl pkcs12 -legacy -in old.pfx -nodes -out both.pem && openssl pkcs12 -export -in both.pem -out new.pfx';

/** Longer RSA keys take so long to sign that the event loop stalls; Entra's documentation uses 2048 to 4096 bits. */
const LONGEST_KEY_BITS = 8_192;

/** A certificate with its key, in the form that MSAL takes. */
export interface ClientCertificate {
  thumbprintSha256: string;
  /** PKCS #8, PEM, not encrypted. */
  privateKey: string;
  /** The certificate and its issuers, PEM. */
  chain: string;
}

/**
 * Reads a certificate and its private key from PEM (in any order, the key in PKCS #1 or #8, encrypted or not) or PFX,
 * without blocking the event loop, however many rounds the key derivation takes.
 *
 * @param option name of the option, for errors
 * @throws ConfigurationError naming the option and how to fix it; never quoting any of the content
 */
export async function readCertificate(
  content: string | Uint8Array,
  password: string | undefined,
  option: string,
): Promise<ClientCertificate> {
  const source = { password, option };
  try {
    return finish(await runLater(open(content, source)), option);
  } catch (error) {
    throw explained(error, source);
  }
}

/**
 * Checks a certificate as far as that is cheap; a key derivation with many rounds is left to the first token request.
 */
export function checkCertificate(content: string | Uint8Array, password: string | undefined, option: string): void {
  const source = { password, option };
  try {
    const parts = runNow(open(content, source));
    if (parts !== undefined) finish(parts, option);
  } catch (error) {
    throw explained(error, source);
  }
}

interface Source {
  password: string | undefined;
  option: string;
}

interface Parts {
  certificates: X509Certificate[];
  privateKey: KeyObject;
}

function* open(content: string | Uint8Array, source: Source): Generator<KeyDerivation, Parts, Buffer> {
  if (content.length > 2 * LARGEST_CERTIFICATE_FILE) throw tooLarge(source.option);
  const bytes = typeof content === 'string' ? undefined : Buffer.from(content);
  const text = bytes?.toString('latin1') ?? String(content);
  if (text.includes('-----BEGIN ')) return yield* fromPem(text, source);
  const file = bytes ?? Buffer.from(text, 'base64');
  if (file.length > LARGEST_CERTIFICATE_FILE) throw tooLarge(source.option);
  return yield* fromPfx(file, source);
}

function tooLarge(option: string): ConfigurationError {
  return new ConfigurationError(`'${option}' is larger than 128 KiB: it is not a certificate with its key.`);
}

function finish({ certificates, privateKey }: Parts, option: string): ClientCertificate {
  if (privateKey.asymmetricKeyType !== 'rsa') {
    throw new ConfigurationError(
      `'${option}' has a key of type ${privateKey.asymmetricKeyType}; Entra takes RSA only.`,
    );
  }
  if ((privateKey.asymmetricKeyDetails?.modulusLength ?? 0) > LONGEST_KEY_BITS) {
    throw new ConfigurationError(`'${option}' has an RSA key of more than ${LONGEST_KEY_BITS} bits.`);
  }
  const own = certificates.find((certificate) => certificate.checkPrivateKey(privateKey));
  if (own === undefined) {
    throw new ConfigurationError(`The private key in '${option}' does not belong to any of its certificates.`);
  }
  if (Date.parse(own.validTo) < Date.now()) {
    throw new ConfigurationError(`The certificate in '${option}' expired on ${own.validTo}.`, {
      hint: 'Create a new one, upload it to the app registration, and use it here.',
    });
  }
  const others = certificates.filter((certificate) => certificate !== own);
  return {
    thumbprintSha256: own.fingerprint256.replaceAll(':', '').toLowerCase(),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    chain: [own, ...others].map((certificate) => certificate.toString()).join(''),
  };
}

function* fromPem(text: string, { password, option }: Source): Generator<KeyDerivation, Parts, Buffer> {
  const { certificates, keys } = certificateBlocks(text);
  if (certificates.length === 0) {
    throw new ConfigurationError(`'${option}' has no certificate: no block '-----BEGIN CERTIFICATE-----'.`);
  }
  const parsed = certificates.map(({ pem }) => {
    try {
      return new X509Certificate(pem);
    } catch {
      throw new ConfigurationError(`'${option}' has a certificate that cannot be read: the PEM is damaged.`, {
        hint: WHOLE_PEM,
      });
    }
  });
  const [key] = keys;
  if (key === undefined) {
    throw new ConfigurationError(`'${option}' has no private key: no block '-----BEGIN PRIVATE KEY-----'.`, {
      hint: 'Put certificate and key into one file, one below the other.',
    });
  }
  return { certificates: parsed, privateKey: yield* readKey(key, { password, option }) };
}

function* readKey({ label, pem, base64 }: PemBlock, source: Source): Generator<KeyDerivation, KeyObject, Buffer> {
  const { password, option } = source;
  const encrypted = label === 'ENCRYPTED PRIVATE KEY' || pem.includes('Proc-Type: 4,ENCRYPTED');
  if (encrypted && password === undefined) {
    throw new ConfigurationError(`The private key in '${option}' is encrypted.`, {
      hint: "Set 'certificatePassword'.",
    });
  }
  try {
    if (label !== 'ENCRYPTED PRIVATE KEY') {
      return createPrivateKey(password === undefined ? pem : { key: pem, passphrase: password });
    }
    // Not through OpenSSL, which would run any number of rounds synchronously.
    const key = yield* openEncryptedKey(Buffer.from(base64, 'base64'), password ?? '');
    return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
  } catch (error) {
    if (error instanceof Rc2PfxError) throw error;
    throw new ConfigurationError(
      encrypted
        ? `'certificatePassword' does not open the private key in '${option}'.`
        : `'${option}' has a private key that cannot be read: the PEM is damaged.`,
      encrypted ? {} : { hint: WHOLE_PEM },
    );
  }
}

function* fromPfx(bytes: Buffer, { password, option }: Source): Generator<KeyDerivation, Parts, Buffer> {
  const { privateKeys, certificates } = yield* openPkcs12(bytes, password ?? '');
  const [der] = privateKeys;
  if (der === undefined) throw new ConfigurationError(`'${option}' is a PFX file without a private key.`);
  return {
    certificates: certificates.map((certificate) => new X509Certificate(certificate)),
    privateKey: createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }),
  };
}

function explained(error: unknown, { password, option }: Source): ConfigurationError {
  if (error instanceof ConfigurationError) return error;
  if (error instanceof Rc2PfxError) {
    return new ConfigurationError(`'${option}' is encrypted with RC2, which is obsolete and no longer supported.`, {
      hint: `Export it again with AES: ${RE_EXPORT}`,
    });
  }
  if (error instanceof WrongPfxPassword) {
    return new ConfigurationError(
      password === undefined
        ? `'${option}' is a PFX file with a password.`
        : `'certificatePassword' does not open the PFX file in '${option}'.`,
      { hint: "Set 'certificatePassword' to the password of the file." },
    );
  }
  return new ConfigurationError(`'${option}' is neither PEM nor a PFX file that can be read.`, {
    hint: 'Expected: PEM text with certificate and private key, or PFX bytes (a string is read as base64).',
  });
}

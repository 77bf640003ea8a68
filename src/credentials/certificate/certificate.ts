import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { ConfigurationError } from '../../errors.js';
import { openPkcs12, WrongPfxPassword } from './pkcs12.js';

/** Variables and secret stores are where line breaks get lost. */
const WHOLE_PEM = 'Give all of it, from -----BEGIN to the last -----END, with its line breaks.';

/** A certificate with its key, as MSAL wants it. */
export interface ClientCertificate {
  thumbprintSha256: string;
  /** PKCS #8, PEM, not encrypted. */
  privateKey: string;
  /** The certificate and those that issued it, PEM. */
  chain: string;
}

/**
 * Reads a certificate and its private key from PEM (in any order, the key in PKCS #1 or #8, encrypted or not) or PFX.
 *
 * @param key name of the option, for errors
 * @throws ConfigurationError naming the key and the mend; never quoting any of the content
 */
export function readCertificate(
  content: string | Uint8Array,
  password: string | undefined,
  key: string,
): ClientCertificate {
  const bytes = typeof content === 'string' ? undefined : Buffer.from(content);
  const text = bytes?.toString('latin1') ?? String(content);
  const { certificates, privateKey } = text.includes('-----BEGIN ')
    ? fromPem(text, password, key)
    : fromPfx(bytes ?? Buffer.from(text, 'base64'), password, key);
  if (privateKey.asymmetricKeyType !== 'rsa') {
    throw new ConfigurationError(`'${key}' has a key of type ${privateKey.asymmetricKeyType}; Entra takes RSA only.`);
  }
  const own = certificates.find((certificate) => certificate.checkPrivateKey(privateKey));
  if (own === undefined) {
    throw new ConfigurationError(`The private key in '${key}' belongs to none of its certificates.`);
  }
  if (Date.parse(own.validTo) < Date.now()) {
    throw new ConfigurationError(`The certificate in '${key}' ended on ${own.validTo}.`, {
      hint: 'Make a new one, upload it to the app registration, and give it here.',
    });
  }
  const others = certificates.filter((certificate) => certificate !== own);
  return {
    thumbprintSha256: own.fingerprint256.replaceAll(':', '').toLowerCase(),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    chain: [own, ...others].map((certificate) => certificate.toString()).join(''),
  };
}

interface Parts {
  certificates: X509Certificate[];
  privateKey: KeyObject;
}

function fromPem(text: string, password: string | undefined, key: string): Parts {
  const blocks = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g)];
  const certificates = blocks.filter(([, label]) => label === 'CERTIFICATE').map(([pem]) => parse(pem));
  const keys = blocks.filter(([, label]) => label?.endsWith('PRIVATE KEY'));
  if (certificates.length === 0) {
    throw new ConfigurationError(`'${key}' has no certificate: no block '-----BEGIN CERTIFICATE-----'.`);
  }
  const [keyBlock] = keys;
  if (keyBlock === undefined) {
    throw new ConfigurationError(`'${key}' has no private key: no block '-----BEGIN PRIVATE KEY-----'.`, {
      hint: 'Put certificate and key into one file, one below the other.',
    });
  }
  return { certificates, privateKey: readKey(keyBlock[0]) };

  function parse(pem: string): X509Certificate {
    try {
      return new X509Certificate(pem);
    } catch {
      throw new ConfigurationError(`'${key}' has a certificate that cannot be read: the PEM is damaged.`, {
        hint: WHOLE_PEM,
      });
    }
  }

  function readKey(pem: string): KeyObject {
    const encrypted = /BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED/.test(pem);
    if (encrypted && password === undefined) {
      throw new ConfigurationError(`The private key in '${key}' is encrypted.`, {
        hint: "Give 'certificatePassword'.",
      });
    }
    try {
      return createPrivateKey(password === undefined ? pem : { key: pem, passphrase: password });
    } catch {
      throw new ConfigurationError(
        encrypted
          ? `'certificatePassword' does not open the private key in '${key}'.`
          : `'${key}' has a private key that cannot be read: the PEM is damaged.`,
        encrypted ? {} : { hint: WHOLE_PEM },
      );
    }
  }
}

function fromPfx(bytes: Buffer, password: string | undefined, key: string): Parts {
  try {
    const { privateKeys, certificates } = openPkcs12(bytes, password ?? '');
    const [der] = privateKeys;
    if (der === undefined) throw new ConfigurationError(`'${key}' is a PFX file without a private key.`);
    return {
      certificates: certificates.map((certificate) => new X509Certificate(certificate)),
      privateKey: createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }),
    };
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    if (error instanceof WrongPfxPassword) {
      throw new ConfigurationError(
        password === undefined
          ? `'${key}' is a PFX file with a password.`
          : `'certificatePassword' does not open the PFX file in '${key}'.`,
        { hint: "Give its password as 'certificatePassword'." },
      );
    }
    throw new ConfigurationError(`'${key}' is neither PEM nor a PFX file that can be read.`, {
      hint: 'Expected: PEM text with certificate and private key, or PFX bytes (a string is taken as base64).',
    });
  }
}

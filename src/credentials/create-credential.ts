import { ConfigurationError } from '../errors.js';
import { APPLICATION_KEYS } from './application.js';
import { type ClientAssertionOptions, clientAssertion } from './client-assertion.js';
import type { Credential, TokenCredential } from './credential.js';
import { type DeviceCodeOptions, deviceCode } from './device-code.js';
import { credentialFromTedious, type TediousAuthentication } from './from-tedious.js';
import { type GivenCredentialOptions, givenCredential } from './given-credential.js';
import { type InteractiveOptions, interactive } from './interactive.js';
import { type ManagedIdentityOptions, managedIdentity } from './managed-identity.js';
import { type OnBehalfOfOptions, onBehalfOf } from './on-behalf-of.js';
import { type PasswordOptions, usernamePassword } from './password.js';
import { PERSON_KEYS, type PersonCredential } from './person.js';
import { type RefreshTokenOptions, refreshToken } from './refresh-token.js';
import {
  type ServicePrincipalCertificateOptions,
  servicePrincipalCertificate,
} from './service-principal-certificate.js';
import { type ServicePrincipalSecretOptions, servicePrincipalSecret } from './service-principal-secret.js';
import { type StaticTokenOptions, staticToken } from './static-token.js';
import { type TokenFunction, tokenFunction } from './token-function.js';
import { type WorkloadIdentityOptions, workloadIdentity } from './workload-identity.js';

/** One object per way of getting a token; `method` may be left out where the keys tell. */
export type CredentialOptions =
  | ServicePrincipalSecretOptions
  | ServicePrincipalCertificateOptions
  | ClientAssertionOptions
  | WorkloadIdentityOptions
  | ManagedIdentityOptions
  | OnBehalfOfOptions
  | DeviceCodeOptions
  | InteractiveOptions
  | PasswordOptions
  | RefreshTokenOptions
  | StaticTokenOptions
  | GivenCredentialOptions;

/** Everything {@link createCredential} understands. */
export type CredentialInput = CredentialOptions | TokenCredential | TokenFunction | TediousAuthentication | string;

/** Those where a person signs in, and may have to do so again. */
type PersonInput = DeviceCodeOptions | InteractiveOptions | PasswordOptions | RefreshTokenOptions;

interface Method {
  /** Keys that its options may have; `method` is one always. */
  keys: readonly string[];
  make(options: never): Credential;
}

const METHODS: Readonly<Record<string, Method>> = {
  'service-principal-secret': { keys: [...APPLICATION_KEYS, 'clientSecret'], make: servicePrincipalSecret },
  'service-principal-certificate': {
    keys: [...APPLICATION_KEYS, 'certificate', 'certificatePath', 'certificatePassword', 'sendCertificateChain'],
    make: servicePrincipalCertificate,
  },
  'client-assertion': { keys: [...APPLICATION_KEYS, 'assertion'], make: clientAssertion },
  'workload-identity': { keys: [...APPLICATION_KEYS, 'tokenFilePath'], make: workloadIdentity },
  'managed-identity': {
    keys: ['clientId', 'objectId', 'resourceId', 'arcKeyDirectory'],
    make: (options: ManagedIdentityOptions) => managedIdentity(options),
  },
  'on-behalf-of': {
    keys: [
      ...APPLICATION_KEYS,
      'clientSecret',
      'certificate',
      'certificatePath',
      'certificatePassword',
      'sendCertificateChain',
      'assertion',
      'userAssertion',
    ],
    make: onBehalfOf,
  },
  'device-code': { keys: [...PERSON_KEYS, 'onCode'], make: deviceCode },
  interactive: { keys: [...PERSON_KEYS, 'openBrowser', 'signInTimeoutMs', 'port'], make: interactive },
  password: { keys: [...PERSON_KEYS, 'password'], make: usernamePassword },
  'refresh-token': { keys: [...PERSON_KEYS, 'refreshToken', 'clientSecret'], make: refreshToken },
  'access-token': { keys: ['token', 'expiresOn'], make: staticToken },
  'token-credential': { keys: ['credential'], make: givenCredential },
};

/** The key that tells the method where `method` is left out. */
const TELLING_KEYS: readonly [key: string, method: string][] = [
  ['clientSecret', 'service-principal-secret'],
  ['certificate', 'service-principal-certificate'],
  ['certificatePath', 'service-principal-certificate'],
  ['assertion', 'client-assertion'],
  ['tokenFilePath', 'workload-identity'],
  ['password', 'password'],
  ['token', 'access-token'],
  ['credential', 'token-credential'],
];

/**
 * A credential from whatever says who to sign in as.
 *
 * - an object such as `{ tenantId, clientId, clientSecret }`
 * - an access token as a string (a JWT), or a function that returns one
 * - any `TokenCredential`
 * - tedious's own `{ type: 'azure-active-directory-...', options }`
 *
 * Nothing is sent before the first token is asked for.
 *
 * @throws ConfigurationError naming the key and the mend
 * @example
 * const credential = createCredential({ tenantId, clientId, clientSecret: process.env.SQL_CLIENT_SECRET });
 */
export function createCredential(input: PersonInput): PersonCredential;
export function createCredential(input: CredentialInput): Credential;
export function createCredential(input: CredentialInput): Credential {
  if (typeof input === 'string') return fromText(input);
  if (typeof input === 'function') return tokenFunction(input);
  if (typeof input !== 'object' || input === null) {
    throw new ConfigurationError(
      'A credential is made from an options object, a string, a function or a TokenCredential.',
    );
  }
  if (isTokenCredential(input)) return givenCredential({ credential: input });
  if (isTedious(input)) return credentialFromTedious(input);
  return fromOptions(input as unknown as Record<string, unknown>);
}

function fromOptions(options: Record<string, unknown>): Credential {
  const given = Object.keys(options).filter((key) => options[key] !== undefined && key !== 'method');
  const name = options.method ?? methodOf(given);
  const method = typeof name === 'string' && Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
  if (method === undefined) {
    throw new ConfigurationError(`There is no credential method '${String(name)}'.`, {
      hint: `Methods: ${Object.keys(METHODS).join(', ')}.`,
    });
  }
  const unknown = given.find((key) => !method.keys.includes(key));
  if (unknown !== undefined) {
    throw new ConfigurationError(`The key '${unknown}' means nothing to the credential method '${name}'.`, {
      hint: `Its keys: ${method.keys.join(', ')}.`,
    });
  }
  return method.make(options as never);
}

function methodOf(keys: readonly string[]): string {
  // These come with a proof of the application, which by itself would tell another method.
  if (keys.includes('userAssertion')) return 'on-behalf-of';
  if (keys.includes('refreshToken')) return 'refresh-token';
  const told = TELLING_KEYS.filter(([key]) => keys.includes(key));
  const methods = [...new Set(told.map(([, method]) => method))];
  const [method, another] = methods;
  if (method !== undefined && another === undefined) return method;
  if (method === undefined) {
    throw new ConfigurationError('These options do not tell how to get a token.', {
      hint: `Set 'method' to one of: ${Object.keys(METHODS).join(', ')}.`,
    });
  }
  throw new ConfigurationError(`Give only one of ${told.map(([key]) => `'${key}'`).join(' and ')}.`, {
    hint: "Each proves who you are by itself; or set 'method' and leave the other out.",
  });
}

function fromText(text: string): Credential {
  if (/^(Bearer\s+)?eyJ[\w-]+\.[\w-]+\./i.test(text.trim())) return staticToken({ token: text });
  throw new ConfigurationError('This string is neither an access token nor a connection string with a credential.');
}

function isTokenCredential(input: object): input is TokenCredential {
  return typeof (input as { getToken?: unknown }).getToken === 'function';
}

function isTedious(input: object): input is TediousAuthentication {
  return typeof (input as { type?: unknown }).type === 'string';
}

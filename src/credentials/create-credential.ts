import { ConfigurationError } from '../errors.js';
import type { Credential, TokenCredential } from './credential.js';
import type { AuthorityOptions } from './entra/authority.js';
import { authorityHostForServer, PUBLIC_AUTHORITY_HOST } from './entra/scope-for-server.js';
import { credentialFromTedious, type TediousAuthentication } from './input/from-tedious.js';
import { fromText } from './input/from-text.js';
import { APPLICATION_KEYS } from './methods/application.js';
import { type ClientAssertionOptions, clientAssertion } from './methods/client-assertion.js';
import { type ChainOptions, defaultChain } from './methods/default-chain.js';
import { type DeveloperToolOptions, developerTool } from './methods/developer-tools.js';
import { type DeviceCodeOptions, deviceCode } from './methods/device-code.js';
import { type EnvironmentOptions, fromEnvironment } from './methods/environment.js';
import { type GivenCredentialOptions, givenCredential } from './methods/given-credential.js';
import { type InteractiveOptions, interactive } from './methods/interactive.js';
import { type ManagedIdentityOptions, managedIdentity } from './methods/managed-identity.js';
import { type OnBehalfOfOptions, onBehalfOf } from './methods/on-behalf-of.js';
import { type PasswordOptions, usernamePassword } from './methods/password.js';
import { PERSON_KEYS, type PersonCredential } from './methods/person.js';
import { type RefreshTokenOptions, refreshToken } from './methods/refresh-token.js';
import {
  type ServicePrincipalCertificateOptions,
  servicePrincipalCertificate,
} from './methods/service-principal-certificate.js';
import { type ServicePrincipalSecretOptions, servicePrincipalSecret } from './methods/service-principal-secret.js';
import { type StaticTokenOptions, staticToken } from './methods/static-token.js';
import { type TokenFunction, tokenFunction } from './methods/token-function.js';
import { type WorkloadIdentityOptions, workloadIdentity } from './methods/workload-identity.js';

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
  | DeveloperToolOptions
  | EnvironmentOptions
  | ChainOptions
  | StaticTokenOptions
  | GivenCredentialOptions;

/** Everything {@link createCredential} understands. */
export type CredentialInput = CredentialOptions | TokenCredential | TokenFunction | TediousAuthentication | string;

/** Those where a person signs in, and may have to do so again. */
type PersonInput = DeviceCodeOptions | InteractiveOptions | PasswordOptions | RefreshTokenOptions;

interface Method {
  /** Keys that its options may have; `method` is one always. */
  keys: readonly string[];
  /** `authority` is for those whose options cannot name one. */
  make(options: never, authority: AuthorityOptions): Credential;
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
    keys: ['clientId', 'objectId', 'resourceId', 'arcKeyDirectory', 'retryTimeoutMs'],
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
  'azure-cli': { keys: ['tenantId', 'subscription', 'timeoutMs'], make: developerTool },
  'azure-developer-cli': { keys: ['tenantId', 'timeoutMs'], make: developerTool },
  'azure-powershell': { keys: ['tenantId', 'timeoutMs'], make: developerTool },
  environment: { keys: [], make: (_: EnvironmentOptions, authority) => fromEnvironment(authority) },
  chain: { keys: ['members', 'credentials', 'clientId', 'tenantId'], make: defaultChain },
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
 * - an object such as `{ tenantId, clientId, clientSecret }` or `{ method: 'managed-identity' }`
 * - an access token as a string (a JWT), or a function that returns one
 * - a connection string: AzureServiceTokenProvider's (`RunAs=App;AppId=...`), or ADO.NET's with
 *   `Authentication=Active Directory ...`
 * - any `TokenCredential`
 * - tedious's own `{ type: 'azure-active-directory-...', options }`
 * - nothing: the variable `AzureServicesAuthConnectionString`, else the default chain
 *
 * Nothing is sent before the first token is asked for.
 *
 * @throws ConfigurationError naming the key and the mend
 * @example
 * const credential = createCredential({ tenantId, clientId, clientSecret: process.env.SQL_CLIENT_SECRET });
 */
export function createCredential(input: PersonInput, context?: CredentialContext): PersonCredential;
export function createCredential(input?: CredentialInput, context?: CredentialContext): Credential;
export function createCredential(input: CredentialInput = '', context: CredentialContext = {}): Credential {
  const authority = authorityFor(context);
  if (typeof input === 'string') return fromText(input, authority);
  if (typeof input === 'function') return tokenFunction(input);
  if (typeof input !== 'object' || input === null) {
    throw new ConfigurationError(
      'A credential is made from an options object, a string, a function or a TokenCredential.',
    );
  }
  if (isTokenCredential(input)) return givenCredential({ credential: input });
  if (isTedious(input)) return credentialFromTedious(input, authority);
  return fromOptions(input as unknown as Record<string, unknown>, authority);
}

/** What is known about the use of a credential. */
export interface CredentialContext {
  /** Name of the SQL Server: tells the cloud, and so the identity provider where none is named. */
  server?: string | undefined;
}

function authorityFor({ server }: CredentialContext): AuthorityOptions {
  if (server === undefined || process.env.AZURE_AUTHORITY_HOST) return {};
  const authority = authorityHostForServer(server);
  return authority === PUBLIC_AUTHORITY_HOST ? {} : { authority };
}

/** Implicit grant is asked for by people who know it from browsers. */
const BROWSER_FLOWS = /^(implicit|implicit-grant|id-token)$/i;

function fromOptions(options: Record<string, unknown>, authority: AuthorityOptions): Credential {
  const given = Object.keys(options).filter((key) => options[key] !== undefined && key !== 'method');
  const name = options.method ?? methodOf(given);
  const method = typeof name === 'string' && Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
  if (method === undefined && BROWSER_FLOWS.test(String(name))) {
    throw new ConfigurationError(
      'The implicit grant gives tokens to pages in a browser; a server has no browser to receive them.',
      { hint: "Use 'interactive' or 'device-code' for a person, 'on-behalf-of' for the person who calls your API." },
    );
  }
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
  if (method.keys.includes('authority'))
    return method.make({ ...authority, ...definedOnly(options) } as never, authority);
  return method.make(options as never, authority);
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

function definedOnly(options: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function isTokenCredential(input: object): input is TokenCredential {
  return typeof (input as { getToken?: unknown }).getToken === 'function';
}

function isTedious(input: object): input is TediousAuthentication {
  return typeof (input as { type?: unknown }).type === 'string';
}

import { ConfigurationError } from '../errors.js';
import { requireKnownOptions } from '../known-options.js';
import type { Credential, Secret, TokenCredential } from './credential.js';
import type { AuthorityOptions } from './entra/authority.js';
import { property } from './entra/redact.js';
import { authorityHostForServer, PUBLIC_AUTHORITY_HOST } from './entra/scope-for-server.js';
import { didYouMean } from './input/did-you-mean.js';
import { readEnvironment } from './input/environment.js';
import { credentialFromTedious, type TediousAuthentication } from './input/from-tedious.js';
import { fromText } from './input/from-text.js';
import { isBlank, requireSelected } from './input/require-option.js';
import type { DeviceCodeOptions } from './methods/device-code.js';
import type { InteractiveOptions } from './methods/interactive.js';
import type { CredentialMethod, OptionsOf } from './methods/method.js';
import type { OnBehalfOfApplication } from './methods/on-behalf-of.js';
import type { PasswordOptions } from './methods/password.js';
import type { PersonCredential } from './methods/person.js';
import type { RefreshTokenOptions } from './methods/refresh-token.js';
import * as registry from './methods/registry.js';
import { givenCredential } from './methods/token-credential.js';
import { type TokenFunction, tokenFunction } from './methods/token-function.js';

/** The options of one credential method; `method` may be left out if the options imply it. */
export type CredentialOptions = OptionsOf<(typeof registry)[keyof typeof registry]>;

/** Everything that {@link createCredential} accepts. */
export type CredentialInput = CredentialOptions | TokenCredential | TokenFunction | TediousAuthentication | string;

/** Methods with which a person signs in, possibly more than once. */
type PersonInput = DeviceCodeOptions | InteractiveOptions | PasswordOptions | RefreshTokenOptions;

const METHODS = new Map<string, CredentialMethod<Record<string, unknown>>>(
  Object.values(registry).map((method) => [method.name, method as never]),
);
/** In the order in which messages list them. */
export const METHOD_NAMES: readonly string[] = [...METHODS.keys()];

/**
 * Creates a credential from any description of who signs in:
 *
 * - an object such as `{ tenantId, clientId, clientSecret }` or `{ method: 'managed-identity' }`
 * - an access token as a string (a JWT), or a function that returns one
 * - a connection string: AzureServiceTokenProvider's (`RunAs=App;AppId=...`), or ADO.NET's with
 *   `Authentication=Active Directory ...`
 * - any `TokenCredential`
 * - tedious's own `{ type: 'azure-active-directory-...', options }`
 * - nothing at all: the variable `AzureServicesAuthConnectionString`, or else the default chain. An argument that is
 *   undefined or
 *   empty, such as an environment variable that is not set, is refused: another principal would log in.
 *
 * Nothing is sent before the first token is requested.
 *
 * @throws ConfigurationError naming the option and how to fix it
 * @example
 * const credential = createCredential({ tenantId, clientId, clientSecret: process.env.SQL_CLIENT_SECRET });
 */
export function createCredential(input: PersonInput, context?: CredentialContext): PersonCredential;
export function createCredential(input?: CredentialInput, context?: CredentialContext): Credential;
export function createCredential(...given: [input?: CredentialInput, context?: CredentialContext]): Credential {
  const [input = '', context = {}] = given;
  if (given.length > 0 && typeof input === 'string' && input.trim() === '') {
    throw new ConfigurationError(`The credential is ${given[0] === undefined ? 'undefined' : 'empty'}.`, {
      hint: "An environment variable that is not set may be the reason. For the default chain, pass { method: 'chain' }.",
    });
  }
  requireKnownOptions('The context of createCredential()', context, { server: true });
  const authority = authorityFor(context);
  if (typeof input === 'string') return fromText(input, authority);
  if (typeof input === 'function') return tokenFunction(input);
  if (typeof input !== 'object' || input === null) {
    throw new ConfigurationError('A credential must be an options object, a string, a function or a TokenCredential.');
  }
  if (isTokenCredential(input)) return givenCredential({ credential: input });
  if (isTedious(input)) return credentialFromTedious(input, authority);
  return fromOptions(withInherited(input), authority);
}

/**
 * The credential of a user who has called `application`. The application's options are checked as those of
 * `createCredential()`: a misspelt `authority` would send its secret to another identity provider.
 *
 * @param userAssertion the access token that came with the call
 * @throws ConfigurationError naming the option
 */
export function createOnBehalfOf(
  application: OnBehalfOfApplication,
  userAssertion: Secret,
  context: CredentialContext = {},
): Credential {
  if (typeof application !== 'object' || application === null || isTokenCredential(application)) {
    throw new ConfigurationError('The application must be given by its options: { tenantId, clientId, clientSecret }.');
  }
  const added = { method: (application as { method?: unknown }).method ?? 'on-behalf-of', userAssertion };
  // The application may inherit its options, and may be frozen.
  const options = Object.create(application, Object.getOwnPropertyDescriptors(added));
  return fromOptions(withInherited(options), authorityFor(context));
}

/** Where a credential is used. */
export interface CredentialContext {
  /** Name of the SQL Server. It determines the cloud, and with it the identity provider if none is configured. */
  server?: string | undefined;
}

function authorityFor({ server }: CredentialContext): AuthorityOptions {
  if (server === undefined || readEnvironment().AZURE_AUTHORITY_HOST !== undefined) return {};
  const authority = authorityHostForServer(server);
  return authority === PUBLIC_AUTHORITY_HOST ? {} : { authority };
}

/** A copy of options with the inherited ones as its own: of `Object.create(defaults)`, and getters of a class. */
function withInherited(input: object): Record<string, unknown> {
  const own: Record<string, unknown> = {};
  for (let at: object | null = input; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [key, { enumerable, get }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (Object.hasOwn(own, key) || key === '__proto__' || !(enumerable || get)) continue;
      own[key] = (input as Record<string, unknown>)[key];
    }
  }
  return own;
}

/** The implicit grant, under its names in browser libraries. */
const BROWSER_FLOWS = /^(implicit|implicit-grant|id-token)$/i;

function fromOptions(options: Record<string, unknown>, authority: AuthorityOptions): Credential {
  const given = Object.keys(options).filter((key) => options[key] !== undefined && key !== 'method');
  const method = options.method === undefined ? impliedMethod(options, given) : namedMethod(options.method);
  requireSelected(options, method.selectedBy ?? []);
  const known = Object.keys(method.options);
  // The same account or application may exist in several tenants: another one would log in.
  if (known.includes('tenantId')) requireSelected(options, ['tenantId']);
  for (const option of given) {
    if (!known.includes(option)) {
      throw new ConfigurationError(
        `Unknown option ${quotedName(option)} for credential method '${method.name}'.${didYouMean(option, known)}`,
        { hint: known.length === 0 ? 'It has no options.' : `Its options: ${known.join(', ')}.` },
      );
    }
    if (options[option] === '' || (isBlank(options[option]) && !SECRETS.has(option))) {
      throw new ConfigurationError(`'${option}' is empty.`, {
        hint: `Set '${option}', or remove it. An environment variable that is not set may be the reason.`,
      });
    }
  }
  const defaults = known.includes('authority') ? authority : {};
  const defined = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return method.create({ ...defaults, ...defined }, { authority });
}

/** Secrets are checked by the method, which knows what a line break at their end means. */
const SECRETS = new Set([
  'password',
  'certificatePassword',
  'clientSecret',
  'assertion',
  'userAssertion',
  'refreshToken',
  'certificate',
]);

function namedMethod(name: unknown): CredentialMethod<Record<string, unknown>> {
  const method = typeof name === 'string' ? METHODS.get(name) : undefined;
  if (method !== undefined) return method;
  if (typeof name === 'string' && BROWSER_FLOWS.test(name)) {
    throw new ConfigurationError('The implicit grant returns tokens to pages in a browser, not to a server.', {
      hint: "Use 'interactive' or 'device-code' for a person, 'on-behalf-of' for the person who calls your API.",
    });
  }
  throw new ConfigurationError(`Unknown credential method.${didYouMean(name, METHOD_NAMES)}`, {
    hint: `Methods: ${METHOD_NAMES.join(', ')}.`,
  });
}

/**
 * Options that make someone other than the application itself log in. `{ clientId, clientSecret, userAssertion: undefined }`,
 * for a request without an Authorization header, would otherwise give its caller the application's own rights.
 */
const CHOOSES_PRINCIPAL = [
  'userAssertion',
  'agentId',
  'agentUserName',
  'refreshToken',
  'username',
  'password',
  'token',
  'credential',
];

/**
 * The method that the options imply. If options imply several methods, one that accepts all of those options wins:
 * `{ userAssertion, clientSecret }` is `on-behalf-of`, because that method needs a proof as well.
 */
function impliedMethod(
  options: Record<string, unknown>,
  given: readonly string[],
): CredentialMethod<Record<string, unknown>> {
  for (const name of CHOOSES_PRINCIPAL) requireSelected(options, [name]);
  const implied = [...METHODS.values()].filter(({ impliedBy = [] }) => impliedBy.some((name) => given.includes(name)));
  const implying = given.filter((name) => implied.some(({ impliedBy = [] }) => impliedBy.includes(name)));
  const [method, another] = implied.filter((candidate) =>
    implying.every((name) => Object.hasOwn(candidate.options, name)),
  );
  if (method !== undefined && another === undefined) return method;
  if (implying.length > 0) {
    throw new ConfigurationError(`Set only one of ${implying.map((name) => `'${name}'`).join(' and ')}.`, {
      hint: "Each implies a different method; or set 'method' and remove the others.",
    });
  }
  throw notImplied(options, given);
}

/** Why options imply no method: a misspelt name, values that are undefined, or simply no `method`. */
function notImplied(options: Record<string, unknown>, given: readonly string[]): ConfigurationError {
  const methods = `Set 'method' to one of: ${METHOD_NAMES.join(', ')}.`;
  const hint = `${methods} If a credential object was passed, it is a copy: a deep copy loses methods and private fields.`;
  const known = [...new Set([...METHODS.values()].flatMap((method) => Object.keys(method.options)))];
  const misspelt = given.find((name) => !known.includes(name));
  if (misspelt !== undefined) {
    return new ConfigurationError(`Unknown credential option ${quotedName(misspelt)}.${didYouMean(misspelt, known)}`, {
      hint,
    });
  }
  const unset = known.filter((name) => name in options && options[name] === undefined).map((name) => `'${name}'`);
  if (unset.length > 0) {
    const verb = unset.length === 1 ? 'is' : 'are';
    return new ConfigurationError(`These options imply no credential method: ${unset.join(', ')} ${verb} undefined.`, {
      hint: `An environment variable that is not set may be the reason. ${methods}`,
    });
  }
  return new ConfigurationError('These options imply no credential method.', { hint });
}

/** The key, if it looks like an option name; anything else may be a secret that ended up as a key. */
function quotedName(name: string): string {
  return /^[A-Za-z_][A-Za-z0-9_]{0,39}$/.test(name) ? `'${name}'` : '(not a name)';
}

function isTokenCredential(input: object): input is TokenCredential {
  return typeof property(input, 'getToken') === 'function';
}

function isTedious(input: object): input is TediousAuthentication {
  return typeof property(input, 'type') === 'string';
}

import { ConfigurationError } from '../../errors.js';
import type { Credential } from '../credential.js';
import type { AuthorityOptions } from '../entra/authority.js';
import { staticToken } from '../methods/access-token.js';
import { defaultChain } from '../methods/chain.js';
import { managedIdentity } from '../methods/managed-identity.js';
import { usernamePassword } from '../methods/password.js';
import { servicePrincipalSecret } from '../methods/service-principal-secret.js';
import { givenCredential } from '../methods/token-credential.js';
import { didYouMean } from './did-you-mean.js';
import { isBlank, requireSelected } from './require-option.js';

/** tedious's own authentication settings. https://tediousjs.github.io/tedious/api-connection.html */
export interface TediousAuthentication {
  type: string;
  options?: object | undefined;
}

interface TediousType {
  options: readonly string[];
  /** Of these, the ones that select who logs in and may be left out. */
  selecting?: readonly string[] | undefined;
  create(options: never, authority: AuthorityOptions): Credential;
}

const TYPES: Readonly<Record<string, TediousType>> = {
  'token-credential': { options: ['credential'], create: givenCredential },
  'azure-active-directory-access-token': { options: ['token'], create: staticToken },
  'azure-active-directory-service-principal-secret': {
    options: ['clientId', 'clientSecret', 'tenantId'],
    create: servicePrincipalSecret,
  },
  'azure-active-directory-password': {
    options: ['userName', 'password', 'clientId', 'tenantId'],
    selecting: ['tenantId'],
    create: ({ userName, ...others }: { userName: string; password: string }) =>
      usernamePassword({ username: userName, ...others }),
  },
  'azure-active-directory-msi-vm': {
    options: ['clientId'],
    selecting: ['clientId'],
    create: (options: object) => managedIdentity(options),
  },
  'azure-active-directory-msi-app-service': {
    options: ['clientId'],
    selecting: ['clientId'],
    create: (options: object) => managedIdentity(options),
  },
  'azure-active-directory-default': { options: ['clientId'], selecting: ['clientId'], create: defaultChain },
};

const WITH_AUTHORITY = new Set(['azure-active-directory-service-principal-secret', 'azure-active-directory-password']);

/** mssql adds its own settings to the options of any type; a type ignores those that are not its own, as in tedious. */
const FROM_MSSQL = ['userName', 'password', 'domain', 'clientId', 'clientSecret', 'tenantId', 'token', 'credential'];
const OBSOLETE = ['msiEndpoint', 'msiSecret'];

/** Whether one of tedious's authentication types logs in with a token; the others (`default`, `ntlm`) use a password. */
export function isTokenAuthentication(type: string): boolean {
  return type === 'token-credential' || type.startsWith('azure-active-directory-');
}

/**
 * The credential of tedious's own `azure-active-directory-*` settings. tedious itself creates a new one for each
 * connection, and so requests a token each time.
 *
 * @throws ConfigurationError naming the option
 */
export function credentialFromTedious(
  authentication: TediousAuthentication,
  authority: AuthorityOptions = {},
): Credential {
  const { type, options = {} } = authentication;
  const types = Object.keys(TYPES);
  const known = Object.hasOwn(TYPES, type) ? TYPES[type] : undefined;
  if (known === undefined) {
    throw new ConfigurationError(
      isTokenAuthentication(type)
        ? `Unknown authentication type.${didYouMean(type, types)}`
        : `This authentication type does not use tokens.${didYouMean(type, types)}`,
      { hint: `Types with a token: ${types.join(', ')}; or use any options of createCredential().` },
    );
  }
  const given = (options ?? {}) as Record<string, unknown>;
  // mssql leaves out what has no value, so a key that is present was written by the caller.
  for (const name of known.selecting ?? []) requireSelected(given, [name]);
  refuseUnknown(given, known.options, type);
  const own = Object.fromEntries(known.options.map((name) => [name, given[name] ?? undefined]));
  return known.create({ ...(WITH_AUTHORITY.has(type) ? authority : {}), ...own } as never, authority);
}

/** `clientID` or an empty `clientId` would silently log in as the system-assigned identity. */
function refuseUnknown(given: Record<string, unknown>, own: readonly string[], type: string): void {
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    if ((value === '' || (isBlank(value) && name !== 'password')) && own.includes(name)) {
      throw new ConfigurationError(`'${name}' of the authentication type '${type}' is empty.`, {
        hint: `Set '${name}', or remove it. An environment variable that is not set may be the reason.`,
      });
    }
    if (own.includes(name) || FROM_MSSQL.includes(name) || OBSOLETE.includes(name)) continue;
    throw new ConfigurationError(`Unknown option for the authentication type '${type}'.${didYouMean(name, own)}`, {
      hint: `Its options: ${own.join(', ')}.`,
    });
  }
}

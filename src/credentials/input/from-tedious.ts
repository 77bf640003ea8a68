import { ConfigurationError } from '../../errors.js';
import type { Credential } from '../credential.js';
import type { AuthorityOptions } from '../entra/authority.js';
import { defaultChain } from '../methods/default-chain.js';
import { givenCredential } from '../methods/given-credential.js';
import { managedIdentity } from '../methods/managed-identity.js';
import { usernamePassword } from '../methods/password.js';
import { servicePrincipalSecret } from '../methods/service-principal-secret.js';
import { staticToken } from '../methods/static-token.js';

/** tedious's own way to say how to log in. https://tediousjs.github.io/tedious/api-connection.html */
export interface TediousAuthentication {
  type: string;
  options?: object | undefined;
}

type Make = (options: never, authority: AuthorityOptions) => Credential;

const TYPES: Readonly<Record<string, { keys: readonly string[]; make: Make }>> = {
  'token-credential': { keys: ['credential'], make: givenCredential },
  'azure-active-directory-access-token': { keys: ['token'], make: staticToken },
  'azure-active-directory-service-principal-secret': {
    keys: ['clientId', 'clientSecret', 'tenantId'],
    make: servicePrincipalSecret,
  },
  'azure-active-directory-password': {
    keys: ['userName', 'password', 'clientId', 'tenantId'],
    make: ({ userName, ...others }: { userName: string; password: string }) =>
      usernamePassword({ username: userName, ...others }),
  },
  'azure-active-directory-msi-vm': { keys: ['clientId'], make: (options: object) => managedIdentity(options) },
  'azure-active-directory-msi-app-service': { keys: ['clientId'], make: (options: object) => managedIdentity(options) },
  'azure-active-directory-default': { keys: ['clientId'], make: defaultChain },
};

const WITH_AUTHORITY = new Set(['azure-active-directory-service-principal-secret', 'azure-active-directory-password']);

/** Whether one of tedious's authentication types logs in with a token; the others (`default`, `ntlm`) use a password. */
export function isTokenAuthentication(type: string): boolean {
  return type === 'token-credential' || type.startsWith('azure-active-directory-');
}

/**
 * The credential that one of tedious's own `azure-active-directory-*` configs means. tedious itself would make a new one
 * for each connection, and so ask for a token each time.
 *
 * @throws ConfigurationError naming the key
 */
export function credentialFromTedious(
  authentication: TediousAuthentication,
  authority: AuthorityOptions = {},
): Credential {
  const { type, options = {} } = authentication;
  const known = Object.hasOwn(TYPES, type) ? TYPES[type] : undefined;
  if (known === undefined) {
    throw new ConfigurationError(
      isTokenAuthentication(type)
        ? `There is no authentication type '${type}'.`
        : `The authentication type '${type}' does not use tokens.`,
      { hint: `Types with a token: ${Object.keys(TYPES).join(', ')}; or give any options of createCredential().` },
    );
  }
  // Other keys are let through unused, as tedious does: mssql adds its own user, password and domain to them.
  const given = options as Record<string, unknown>;
  const own = Object.fromEntries(known.keys.map((key) => [key, given[key] ?? undefined]));
  return known.make({ ...(WITH_AUTHORITY.has(type) ? authority : {}), ...own } as never, authority);
}

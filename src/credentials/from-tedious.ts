import { ConfigurationError } from '../errors.js';
import type { Credential } from './credential.js';
import { givenCredential } from './given-credential.js';
import { servicePrincipalSecret } from './service-principal-secret.js';
import { staticToken } from './static-token.js';

/** tedious's own way to say how to log in. https://tediousjs.github.io/tedious/api-connection.html */
export interface TediousAuthentication {
  type: string;
  options?: object | undefined;
}

type Make = (options: never) => Credential;

const TYPES: Readonly<Record<string, { keys: readonly string[]; make: Make }>> = {
  'token-credential': { keys: ['credential'], make: givenCredential },
  'azure-active-directory-access-token': { keys: ['token'], make: staticToken },
  'azure-active-directory-service-principal-secret': {
    keys: ['clientId', 'clientSecret', 'tenantId'],
    make: servicePrincipalSecret,
  },
};

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
export function credentialFromTedious(authentication: TediousAuthentication): Credential {
  const { type, options = {} } = authentication;
  const known = Object.hasOwn(TYPES, type) ? TYPES[type] : undefined;
  if (known === undefined) {
    throw new ConfigurationError(
      isTokenAuthentication(type)
        ? `The authentication type '${type}' is not supported yet.`
        : `The authentication type '${type}' does not use tokens.`,
      { hint: `Types with a token: ${Object.keys(TYPES).join(', ')}; or give any options of createCredential().` },
    );
  }
  // Other keys are let through unused, as tedious does: mssql adds its own user, password and domain to them.
  const given = options as Record<string, unknown>;
  return known.make(Object.fromEntries(known.keys.map((key) => [key, given[key] ?? undefined])) as never);
}

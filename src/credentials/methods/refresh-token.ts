import type { Secret } from '../credential.js';
import { currentSecret } from '../input/current-secret.js';
import { requireSecret } from '../input/require-option.js';
import { defineMethod } from './method.js';
import { PERSON_OPTIONS, type PersonCredential, type PersonOptions, personCredential } from './person.js';
import { proveBySecret } from './service-principal-secret.js';

/**
 * A refresh token obtained elsewhere. The identity provider replaces it with each use; the successors are kept and
 * used.
 */
export interface RefreshTokenOptions extends PersonOptions {
  method?: 'refresh-token' | undefined;
  /** The refresh token, or a function that returns the latest one. */
  refreshToken: Secret;
  /** Needed if the token was issued to a confidential application. */
  clientSecret?: Secret | undefined;
}

/** @throws ConfigurationError naming the option */
export function refreshToken(options: RefreshTokenOptions): PersonCredential {
  const given = requireSecret(options.refreshToken, 'refreshToken');
  const { clientSecret } = options;
  let current: string | undefined;
  return personCredential(options, {
    method: 'refresh-token',
    noun: 'refresh token',
    identity: [given, clientSecret],
    anyTenant: 'organizations',
    secrets: () => [current],
    prove: clientSecret === undefined ? undefined : proveBySecret({ clientSecret }).prove,
    async signIn({ scope, ask }) {
      const secret = await currentSecret(given, 'refreshToken');
      current = secret;
      return ask((app) => app.acquireTokenByRefreshToken({ refreshToken: secret, scopes: [scope], forceCache: true }));
    },
  });
}

export const refreshTokenMethod = defineMethod<RefreshTokenOptions>({
  name: 'refresh-token',
  options: { ...PERSON_OPTIONS, refreshToken: true, clientSecret: true },
  selectedBy: ['username'],
  impliedBy: ['refreshToken'],
  create: refreshToken,
});

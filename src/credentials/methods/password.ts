import type { Secret } from '../credential.js';
import { currentSecret } from '../input/current-secret.js';
import { requireSecret, requireText } from '../input/require-option.js';
import { defineMethod } from './method.js';
import { PERSON_OPTIONS, type PersonCredential, type PersonOptions, personCredential } from './person.js';

/**
 * A person's user name and password.
 *
 * @deprecated Microsoft is retiring this flow: it fails with multi-factor authentication, which Entra enforces. Use a
 * managed identity or `federated` for an application, `interactive` or `device-code` for a person.
 */
export interface PasswordOptions extends Omit<PersonOptions, 'username'> {
  method?: 'password' | undefined;
  username: string;
  password: Secret;
}

/** What replaces the password flow; the warning and the doctor print it. */
export const INSTEAD_OF_PASSWORD =
  "Use 'managed-identity' or 'federated' for an application, 'interactive' or 'device-code' for a person: docs/which-credential.md.";

let warned = false;

/** @throws ConfigurationError naming the option */
export function usernamePassword(options: PasswordOptions): PersonCredential {
  const username = requireText(options.username, 'username');
  const password = requireSecret(options.password, 'password');
  let current: string | undefined;
  warnOnce();
  return personCredential(options, {
    method: 'password',
    noun: `password of '${username}'`,
    identity: [password],
    anyTenant: 'organizations',
    secrets: () => [current],
    async signIn({ scope, ask }) {
      const secret = await currentSecret(password, 'password');
      current = secret;
      return ask((app) => app.acquireTokenByUsernamePassword({ scopes: [scope], username, password: secret }));
    },
  });
}

function warnOnce(): void {
  if (warned) return;
  warned = true;
  process.emitWarning(
    `The credential method 'password' is deprecated: it fails with multi-factor authentication. ${INSTEAD_OF_PASSWORD}`,
    { type: 'DeprecationWarning', code: 'MSSQL_TOKEN_POOL_PASSWORD' },
  );
}

export const passwordMethod = defineMethod<PasswordOptions>({
  name: 'password',
  options: { ...PERSON_OPTIONS, password: true },
  impliedBy: ['password'],
  create: usernamePassword,
});

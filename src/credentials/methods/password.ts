import type { Secret } from '../credential.js';
import { currentSecret } from '../entra/msal.js';
import { requireSecret, requireText } from '../input/require-option.js';
import { type PersonCredential, type PersonOptions, personCredential } from './person.js';

/** A person's user name and password. Legacy: fails with multi-factor authentication, and Microsoft is retiring it. */
export interface PasswordOptions extends Omit<PersonOptions, 'username'> {
  method?: 'password' | undefined;
  username: string;
  password: Secret;
}

let warned = false;

/** @throws ConfigurationError naming the key */
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
    'Signing in with user name and password is a legacy flow that fails with multi-factor authentication. ' +
      'Use a managed identity or a service principal; for people, interactive or device code sign-in.',
    { type: 'SecurityWarning', code: 'MSSQL_TOKEN_POOL_PASSWORD' },
  );
}

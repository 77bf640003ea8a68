import type { TokenCredential } from '../credentials/credential.js';
import { ConfigurationError } from '../errors.js';

const placeholders = new WeakSet<object>();

/**
 * Stands in for a credential in a config whose connections get their own from `adopt`. If that does not happen, because
 * the `beforeConnect` hook was lost in a copy, the login fails with an error that explains it.
 */
export function placeholderCredential(): TokenCredential {
  const credential: TokenCredential = {
    // Not a rejection: tedious would wrap it in an AggregateError, whose message is empty.
    getToken: async () => ({
      get token(): string {
        throw new ConfigurationError(
          'The config of withTokenRefresh() was copied or taken apart before mssql received it: its beforeConnect hook is missing.',
          { hint: 'Pass the whole config, or copy your own config first and apply withTokenRefresh() last.' },
        );
      },
      expiresOnTimestamp: Number.MAX_SAFE_INTEGER,
    }),
  };
  placeholders.add(credential.getToken);
  return credential;
}

/** Whether a config holds a placeholder, possibly as a copy: all ways of copying share functions. */
export function isPlaceholder(credential: unknown): boolean {
  const { getToken } = (credential ?? {}) as { getToken?: unknown };
  return typeof getToken === 'function' && placeholders.has(getToken);
}

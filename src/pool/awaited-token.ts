import type { TokenSource } from '../connections/token-login.js';
import { type TokenPoolError, TokenTimeoutError } from '../errors.js';

/** Why logins cannot start: there is no token, and the request for one has not ended. Undefined while there is one. */
export function awaitedToken(source: TokenSource | undefined): TokenPoolError | undefined {
  if (source === undefined) return undefined;
  const { current, refresh } = source.tokens.status(source.scope);
  if (current !== undefined || refresh === undefined) return undefined;
  const seconds = ((performance.now() - refresh.startedAt) / 1_000).toFixed(1);
  return new TokenTimeoutError(`The request for a token has not been answered for ${seconds} s.`, {
    hint: 'Check the network path to the identity provider, including proxies and firewalls.',
  });
}

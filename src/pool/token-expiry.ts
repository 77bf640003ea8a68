import type { Session } from '../connections/session.js';
import type { TokenSource } from '../connections/token-login.js';
import type { CachedToken } from '../tokens/cached-token.js';

/**
 * The cached token, if replacing a connection would gain something by it. Asking also starts a background refresh when one
 * is due.
 *
 * A provider with a cache of its own (managed identity) may hand out the same token, or one that ends a moment later, again
 * and again. Until the connection's own token is unusable, only one that ends later by half the eviction margin counts, so
 * that connections are not opened over and over for nothing.
 */
export function laterToken(
  { tokens, scope }: TokenSource,
  { token: own }: Session,
  now: number,
): CachedToken | undefined {
  const current = tokens.current(scope);
  if (current === undefined || own === undefined || current.id === own.id) return undefined;
  const gain = current.expiresOn - own.expiresOn;
  const worthwhile = now < own.loginBefore ? (own.expiresOn - own.evictAt) / 2 : 0;
  return gain > worthwhile ? current : undefined;
}

/** How long a checkout waits for a token request before it hands out a live session whose token has run out, ms. */
const PATIENCE_MS = 1_000;

/**
 * What to do with a live connection inside its eviction margin (P2): replace it when a later token can be had. When none
 * can, serve it, because SQL Server does not cut a session at the end of its token; or refuse, with `strictExpiry`.
 *
 * Waits only where no usable token is at hand: with one, nobody waits for the identity provider (P4).
 */
export async function judgeNearEnd(
  source: TokenSource,
  session: Session,
  { strictExpiry, signal }: { strictExpiry: boolean; signal?: AbortSignal | undefined },
): Promise<'serve' | 'replace' | 'refuse'> {
  if (laterToken(source, session, Date.now()) !== undefined) return 'replace';
  if (strictExpiry || source.tokens.current(source.scope) === undefined) {
    const timeoutMs = strictExpiry ? undefined : PATIENCE_MS;
    await source.tokens.get(source.scope, { timeoutMs, abortSignal: signal }).catch(() => undefined);
    if (laterToken(source, session, Date.now()) !== undefined) return 'replace';
  }
  return strictExpiry ? 'refuse' : 'serve';
}

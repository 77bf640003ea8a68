import { durationMs } from '../time.js';
import { CachedToken } from './cached-token.js';

/** The plain text of an entry. Its times are by the clock of the process that requested the token. */
export interface Entry {
  token: string;
  /** Epoch ms. */
  expiresOn: number;
  lifeMs: number;
  refreshInMs?: number | undefined;
}

/** The text that is encrypted for a token. */
export function writeEntry(token: CachedToken): string {
  const { expiresOn, obtainedAt, refreshAfter } = token;
  const refreshInMs = refreshAfter === undefined ? undefined : refreshAfter - obtainedAt;
  return JSON.stringify({
    token: token.reveal(),
    expiresOn,
    lifeMs: expiresOn - obtainedAt,
    refreshInMs,
  } satisfies Entry);
}

/** @throws Error for text that is not an entry of this library */
export function parseEntry(text: string): Entry {
  const { token, expiresOn, lifeMs, refreshInMs } = JSON.parse(text) as Partial<Entry>;
  if (
    typeof token !== 'string' ||
    durationMs(expiresOn) === undefined ||
    durationMs(lifeMs) === undefined ||
    (refreshInMs !== undefined && !Number.isFinite(refreshInMs))
  ) {
    throw new Error('The entry does not have the format of this version.');
  }
  return { token, expiresOn: expiresOn as number, lifeMs: lifeMs as number, refreshInMs };
}

/**
 * The token of an entry with its times by this machine's clock, and how far the clock of the other process is ahead. If the
 * store reports how long it will keep the entry (`ttlMs`), that gives the remaining life independently of both clocks; the
 * earlier of the two expiries applies, because the expiry may have been wrong from the start.
 */
export function readEntry(
  { token, expiresOn, lifeMs, refreshInMs }: Entry,
  ttlMs: unknown,
): { token: CachedToken; skewMs: number } {
  const now = Date.now();
  const ownMs = expiresOn - now;
  const storeMs = durationMs(ttlMs);
  const leftMs = Math.min(ownMs, storeMs ?? ownMs);
  const obtainedAt = now + leftMs - lifeMs;
  const refreshAfterTimestamp = refreshInMs === undefined ? undefined : obtainedAt + refreshInMs;
  const accessToken = { token, expiresOnTimestamp: now + leftMs, refreshAfterTimestamp };
  return {
    token: new CachedToken(accessToken, { obtainedAt, fromStore: true }),
    skewMs: storeMs === undefined ? 0 : ownMs - storeMs,
  };
}

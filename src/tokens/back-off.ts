/** Azure's own advice for SQL and Entra alike: first retry after 5 s, doubling, never more than a minute apart. */
const FIRST_MS = 5_000;
const LONGEST_MS = 60_000;
/** Share by which a wait is lengthened at random, so that a fleet does not come back in step. */
const JITTER = 0.1;
/** MSAL's bound too: a wrong `Retry-After` must not switch us off for days. */
const LONGEST_RETRY_AFTER_MS = 3_600_000;

/**
 * How long to leave the identity provider alone after the `failures`-th failure in a row, ms (P5). Jitter only lengthens:
 * neither 5 s nor a `Retry-After` is ever cut short.
 */
export function backOffMs(failures: number, retryAfterMs = 0): number {
  const doubled = Math.min(LONGEST_MS, FIRST_MS * 2 ** (failures - 1));
  const asked = Math.min(LONGEST_RETRY_AFTER_MS, retryAfterMs);
  return Math.max(doubled, asked) * (1 + Math.random() * JITTER);
}

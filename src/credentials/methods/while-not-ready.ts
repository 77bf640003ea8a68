import { AbortedError, type CredentialError, TokenThrottledError, TokenUnavailableError } from '../../errors.js';
import { backOffMs, sleep } from '../../time.js';

/** How long to retry while a platform answers "not ready", ms: after 5 and 15 s. */
const PATIENCE_MS = 15_000;
/**
 * The same for a 410: the metadata service is being updated and is available again within 70 s. Retries after 5, 15, 35
 * and 75 s.
 * https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#retry-guidance
 */
const PATIENCE_DURING_UPDATE_MS = 75_000;
/** The first wait, never shorter (P5), and the longest one, to which it doubles, ms. */
const WAITS = { firstMs: 5_000, longestMs: 60_000 };

/** Maximum duration of {@link whileNotReady}, ms, without the attempts themselves. */
export function longestPatienceMs(timeoutMs: number | undefined): number {
  return timeoutMs ?? PATIENCE_DURING_UPDATE_MS;
}

/**
 * Retries while the answer is "not ready" (404, 410, 429, 5xx), as a machine's identity endpoint answers for a while
 * after the machine has started. Only such an answer is retried; a missing answer is reported at once.
 *
 * @param timeoutMs limit for all waits together; default 15 s, or 75 s for a 410
 */
export async function whileNotReady<T>(
  ask: () => Promise<T>,
  { timeoutMs, abortSignal }: { timeoutMs: number | undefined; abortSignal: AbortSignal | undefined },
): Promise<T> {
  let waitedMs = 0;
  for (let failures = 1; ; failures += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!isNotReady(error)) throw error;
      const patienceMs = timeoutMs ?? (error.status === 410 ? PATIENCE_DURING_UPDATE_MS : PATIENCE_MS);
      const waitMs = backOffMs(failures, WAITS, error.retryAfterMs);
      if (waitedMs + waitMs > patienceMs) throw error;
      await wait(waitMs, abortSignal);
      waitedMs += waitMs;
    }
  }
}

function isNotReady(error: unknown): error is CredentialError {
  const passes = error instanceof TokenUnavailableError || error instanceof TokenThrottledError;
  return passes && error.status !== undefined;
}

async function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    // A caller with a signal keeps the process alive while it waits.
    await sleep(ms, { signal, ref: signal === undefined });
  } catch {
    throw new AbortedError('The token request was aborted.', { cause: signal?.reason });
  }
}

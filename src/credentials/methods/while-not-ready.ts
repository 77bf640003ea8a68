import { AbortedError, type CredentialError, TokenThrottledError, TokenUnavailableError } from '../../errors.js';

/** How long a platform that answers "not now" is asked again, ms: at 5 and 15 s. */
const PATIENCE_MS = 15_000;
/**
 * The same for a 410: IMDS is being updated, and is back within 70 s. At 5, 15, 35 and 75 s.
 * https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#retry-guidance
 */
const PATIENCE_DURING_UPDATE_MS = 75_000;
/** P5: never sooner; then doubling, to this at most. */
const FIRST_WAIT_MS = 5_000;
const LONGEST_WAIT_MS = 60_000;

/** Longest that {@link whileNotReady} takes, ms, apart from the attempts themselves. */
export function longestPatienceMs(timeoutMs: number | undefined): number {
  return timeoutMs ?? PATIENCE_DURING_UPDATE_MS;
}

/**
 * Asks again where the answer is "not ready" (404, 410, 429, 5xx), as a machine's identity endpoint is for a while after the
 * machine has started. Only an answer is a reason to wait: where nobody answers, waiting is for whoever has a token.
 *
 * @param timeoutMs waits are no longer than this together; default 15 s, for a 410 75 s
 */
export async function whileNotReady<T>(
  ask: () => Promise<T>,
  { timeoutMs, abortSignal }: { timeoutMs: number | undefined; abortSignal: AbortSignal | undefined },
): Promise<T> {
  let waitedMs = 0;
  for (let nextWaitMs = FIRST_WAIT_MS; ; nextWaitMs *= 2) {
    try {
      return await ask();
    } catch (error) {
      if (!isNotReady(error)) throw error;
      const patienceMs = timeoutMs ?? (error.status === 410 ? PATIENCE_DURING_UPDATE_MS : PATIENCE_MS);
      const waitMs = Math.max(Math.min(nextWaitMs, LONGEST_WAIT_MS), error.retryAfterMs ?? 0);
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

function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(new AbortedError('The request was given up.', { cause: signal?.reason }));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    // Whoever may give up keeps the process alive as long as it has not.
    if (signal !== undefined) timer.unref();
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}

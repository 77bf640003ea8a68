import { AbortedError, TokenTimeoutError } from '../errors.js';
import { onAbort, timerMs } from '../time.js';

/** How one caller waits for a shared promise. */
export interface WaitTerms {
  abortSignal?: AbortSignal | undefined;
  timeoutMs?: number | undefined;
}

/**
 * Waits for a shared promise within one caller's own limits: this caller stops waiting when its time is up or its
 * signal is aborted, the others continue.
 *
 * @throws AbortedError if the signal is aborted, TokenTimeoutError after `timeoutMs`
 */
export function waitFor<T>(shared: Promise<T>, { abortSignal, timeoutMs }: WaitTerms): Promise<T> {
  if (abortSignal === undefined && timeoutMs === undefined) return shared;
  return new Promise<T>((resolve, reject) => {
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => leave(tooLate(timeoutMs)), timerMs(timeoutMs));
    const stopListening = abortSignal && onAbort(abortSignal, () => leave(aborted(abortSignal)));
    shared.then(
      (value) => {
        cleanUp();
        resolve(value);
      },
      (error: unknown) => leave(error),
    );

    function leave(error: unknown): void {
      cleanUp();
      reject(error);
    }
    function cleanUp(): void {
      clearTimeout(timer);
      stopListening?.();
    }
  });
}

/** The error for a caller whose signal fired. */
export function aborted(signal: AbortSignal | undefined): AbortedError {
  return new AbortedError('The wait for a token was aborted.', { cause: signal?.reason });
}

function tooLate(timeoutMs: number): TokenTimeoutError {
  return new TokenTimeoutError(`No token within ${timeoutMs} ms.`, {
    hint: 'The request to the identity provider continues; the next call may find its answer.',
  });
}

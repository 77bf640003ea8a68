import { AbortedError } from '../errors.js';
import { timerMs } from '../time.js';

/** Runs at most `limit` functions at a time; the others wait in order of arrival. */
export function limitConcurrency(limit: number): <T>(run: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (run) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await run();
    } finally {
      const next = waiting.shift();
      // The next in line takes over this permit.
      if (next === undefined) running -= 1;
      else next();
    }
  };
}

export interface WithinOptions {
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  /** The error of a timeout. */
  onTimeout: () => Error;
  /** What was aborted, for the message: `The device code sign-in`. */
  what: string;
}

/** The outcome of `work`, unless the time limit or the signal ends the wait for it first. */
export function within<T>(work: Promise<T>, { timeoutMs, signal, onTimeout, what }: WithinOptions): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    const fail = (error: unknown): void => {
      stop();
      reject(error);
    };
    const onAbort = (): void => fail(new AbortedError(`${what} was aborted.`, { cause: signal?.reason }));
    const timer = setTimeout(() => fail(onTimeout()), timerMs(timeoutMs));
    work.then((value) => {
      stop();
      resolve(value);
    }, fail);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}

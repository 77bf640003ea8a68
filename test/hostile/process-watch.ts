import { AsyncLocalStorage } from 'node:async_hooks';

const EVENTS = ['uncaughtException', 'unhandledRejection', 'warning'] as const;

/**
 * Records everything that would have ended the process, and every warning, under the piece of work in which it
 * happened. It replaces the test runner's own listeners while it watches, so a violation is a line in the table instead
 * of a failed run.
 */
export class ProcessWatch implements Disposable {
  readonly #work = new AsyncLocalStorage<string[]>();
  readonly #others = new Map<string, ((...args: unknown[]) => void)[]>();
  readonly #own = new Map<string, (thrown: unknown) => void>();
  /** What happened outside any work. */
  readonly strays: string[] = [];
  readonly warnings: Error[] = [];

  constructor() {
    for (const event of EVENTS) {
      const others = process.rawListeners(event as 'uncaughtException') as unknown as ((...args: unknown[]) => void)[];
      this.#others.set(event, others);
      for (const listener of others) process.off(event, listener);
      const own = (thrown: unknown): void => {
        if (event === 'warning') this.warnings.push(thrown as Error);
        else (this.#work.getStore() ?? this.strays).push(`${event}: ${describe(thrown)}`);
      };
      this.#own.set(event, own);
      process.on(event as 'uncaughtException', own);
    }
  }

  /** Runs `work`; `crashes` fills with whatever it would have ended the process with, also after it has settled. */
  run<T>(crashes: string[], work: () => T): T {
    return this.#work.run(crashes, work);
  }

  [Symbol.dispose](): void {
    for (const event of EVENTS) {
      process.off(event, this.#own.get(event) as () => void);
      for (const listener of this.#others.get(event) ?? []) process.on(event as 'uncaughtException', listener);
    }
  }
}

function describe(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const [first = '', ...frames] = (thrown.stack ?? thrown.message).split('\n');
  return [first, ...frames.filter((frame) => !frame.includes('node:internal')).slice(0, 3)].join(' <- ');
}

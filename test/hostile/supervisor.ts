import { writeSync } from 'node:fs';

/** No piece of work takes longer than this, even on a busy machine. */
const STALLED_MS = 120_000;

/**
 * A long run that ends early has not found nothing: only `finish` sets exit code 0. A run whose event loop ran
 * dry, that other code ended, or that waits forever, ends with 1 and names the piece of work.
 */
export class Supervisor {
  #work = 'the start';
  #since = performance.now();
  #finished = false;
  /** Timers as they were before any clock was faked. Not unref'd: while work is under way, the process lives. */
  readonly #timer = setInterval(() => this.#look(), 1_000);
  readonly #now = performance.now.bind(performance);

  constructor() {
    process.on('exit', (code) => {
      if (this.#finished) return;
      // An exit code that is set here replaces the one of process.exit().
      process.exitCode = code === 0 ? 1 : code;
      this.#say(`ended early, with exit code ${code}, at: ${this.#work}`);
    });
  }

  /** The next piece of work begins. */
  progress(work: string): void {
    this.#work = work;
    this.#since = this.#now();
  }

  finish(code: number): never {
    this.#finished = true;
    clearInterval(this.#timer);
    process.exit(code);
  }

  #look(): void {
    if (this.#now() - this.#since < STALLED_MS) return;
    this.#say(`ended early: no progress for ${STALLED_MS / 1000} s after: ${this.#work}`);
    this.finish(1);
  }

  /** console.log to a pipe may still be on its way when the process ends, or be replaced by the work. */
  #say(text: string): void {
    writeSync(2, `${text}\n`);
  }
}

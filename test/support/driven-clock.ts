import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { vi } from 'vitest';
// Loaded now, so that no clock is moved while a pool loads it.
import 'tedious';

const realSetTimeout = globalThis.setTimeout;
/** Time that passes between two looks where a test does not say, ms: no figure that it asks for is finer. */
const STEP_MS = 250;
/** Longer than any test: a login that is under way is not given up because the clock was moved. */
const NEVER_MS = 2 ** 31 - 1;

/** A moment of real time, for sockets. */
export function moment(ms = 1): Promise<void> {
  return new Promise((resolve) => realSetTimeout(resolve, ms));
}

/**
 * Clocks and timers are driven, sockets are real: an hour passes in a second, and never in the middle of a dial or of a
 * token request. Spread `config` into the config of each pool it is to watch.
 */
export class DrivenClock implements Disposable {
  /** When each dial began, ms since `restart`. */
  dials: number[] = [];
  /** For the config of a pool. */
  readonly config = { connectionTimeout: NEVER_MS, requestTimeout: 0, beforeConnect: () => this.#dialBegan() };
  /** For the SQL emulator. */
  readonly serverOptions = { loginTimeoutMs: NEVER_MS };
  #underWay = 0;
  #startedAt = 0;

  constructor() {
    vi.useFakeTimers({
      toFake: ['Date', 'performance', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'],
      now: Date.now(),
    });
    for (const name of BEGINNINGS) subscribe(name, this.#began);
    for (const name of ENDINGS) subscribe(name, this.#ended);
    this.restart();
  }

  /** Counts time and dials from now on. */
  restart(): void {
    this.#startedAt = performance.now();
    this.dials = [];
  }

  /** Ms since `restart`. */
  get elapsed(): number {
    return performance.now() - this.#startedAt;
  }

  /** Lets time pass, while whatever is asked for gets its answer. */
  async pass(ms: number, stepMs = STEP_MS): Promise<void> {
    await this.settle();
    for (let passed = 0; passed < ms; passed += stepMs) {
      await vi.advanceTimersByTimeAsync(stepMs);
      await this.settle();
    }
  }

  /** Lets time pass until it is so. */
  async passUntil(isSo: () => boolean, atMostMs: number): Promise<void> {
    const until = this.elapsed + atMostMs;
    await this.settle();
    while (!isSo() && this.elapsed < until) await this.pass(STEP_MS);
    if (!isSo()) throw new Error(`Not so within ${atMostMs} ms: ${isSo}`);
  }

  /** Waits in real time until no dial and no token request is under way. */
  async settle(): Promise<void> {
    // One begins where another has ended, a turn of the event loop later.
    for (let quiet = 0; quiet < 2; quiet = this.#underWay > 0 ? 0 : quiet + 1) await moment();
  }

  [Symbol.dispose](): void {
    for (const name of BEGINNINGS) unsubscribe(name, this.#began);
    for (const name of ENDINGS) unsubscribe(name, this.#ended);
    vi.useRealTimers();
  }

  #dialBegan(): void {
    this.#underWay += 1;
    this.dials.push(this.elapsed);
  }

  readonly #began = (): void => {
    this.#underWay += 1;
  };

  readonly #ended = (): void => {
    this.#underWay -= 1;
  };
}

const BEGINNINGS = ['mssql-token-pool:token:requested'];
const ENDINGS = ['token:refreshed', 'token:failed', 'connection:opened', 'connection:login-failed'].map(
  (name) => `mssql-token-pool:${name}`,
);

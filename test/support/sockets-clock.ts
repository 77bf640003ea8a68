import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { DrivenClock } from './driven-clock.js';
// Loaded now, so that no clock is moved while a pool loads it.
import 'tedious';

const realSetTimeout = globalThis.setTimeout;
/** How much time passes between two looks at the sockets, ms: no figure of these tests is finer. */
const STEP_MS = 250;
/** Longer than any test: a login is not abandoned because the clock was moved. */
const NEVER_MS = 2 ** 31 - 1;

/** A moment of real time, for sockets. */
export function moment(ms = 1): Promise<void> {
  return new Promise((resolve) => realSetTimeout(resolve, ms));
}

/**
 * Clocks and timers are driven, sockets are real: an hour passes in a second, and never in the middle of a dial or of a
 * token request. Spread `config` into the config of each pool that is to be watched.
 */
export class SocketsClock extends DrivenClock {
  /** When each dial began, ms since `restart`. */
  dials: number[] = [];
  /** For the config of a pool. */
  readonly config = { connectionTimeout: NEVER_MS, requestTimeout: 0, beforeConnect: () => this.#dialBegan() };
  /** For the SQL emulator. */
  readonly serverOptions = { loginTimeoutMs: NEVER_MS };
  #underWay = 0;
  #startedAt = 0;

  constructor() {
    super(Date.now());
    this.install({ immediates: false });
    for (const name of BEGINNINGS) subscribe(name, this.#began);
    for (const name of ENDINGS) subscribe(name, this.#ended);
  }

  /** Counts time and dials from now on. */
  restart(): void {
    this.#startedAt = this.now;
    this.dials = [];
  }

  /** Ms since `restart`. */
  get elapsed(): number {
    return this.now - this.#startedAt;
  }

  /** Lets time pass in steps, and each request be answered in between. */
  override async pass(ms: number, stepMs = STEP_MS): Promise<void> {
    await this.settle();
    for (let passed = 0; passed < ms; passed += stepMs) {
      const isQuiet = (this.nextDueAt ?? Number.POSITIVE_INFINITY) > this.now + stepMs;
      await super.pass(stepMs);
      if (!isQuiet) await this.settle();
    }
  }

  /** Lets time pass until the condition holds. */
  async passUntil(isSo: () => boolean, atMostMs: number): Promise<void> {
    const until = this.elapsed + atMostMs;
    await this.settle();
    while (!isSo() && this.elapsed < until) await this.pass(STEP_MS);
    if (!isSo()) throw new Error(`Not so within ${atMostMs} ms: ${isSo}`);
  }

  /** Waits in real time until no dial and no token request is under way. */
  override async settle(): Promise<void> {
    // One begins where another has ended, a turn of the event loop later.
    for (let quiet = 0; quiet < 2; quiet = this.#underWay > 0 ? 0 : quiet + 1) await moment();
  }

  override uninstall(): void {
    for (const name of BEGINNINGS) unsubscribe(name, this.#began);
    for (const name of ENDINGS) unsubscribe(name, this.#ended);
    super.uninstall();
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

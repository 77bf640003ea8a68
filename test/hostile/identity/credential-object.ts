import fc from 'fast-check';
import { type AccessToken, TokenCache, type TokenCredential, TokenPoolError } from '../../../src/index.js';
import { DrivenClock } from '../../support/driven-clock.js';
import { everythingPrinted, secretIn } from '../secrets.js';
import { type Strange, strangeValue } from './strange-values.js';

/** How a credential object answers one request. */
export interface Outcome {
  how: 'rejects' | 'throws' | 'resolves' | 'hangs';
  value: Strange;
  afterMs: number;
}

export function outcomes(secret: string): fc.Arbitrary<Outcome[]> {
  const outcome = fc.record({
    how: fc.constantFrom('rejects', 'rejects', 'throws', 'resolves', 'hangs') as fc.Arbitrary<Outcome['how']>,
    value: strangeValue(secret),
    afterMs: fc.constantFrom(0, 0, 50, 3_000, 30_000),
  });
  return fc.array(outcome, { minLength: 1, maxLength: 4 });
}

const SCOPE = 'https://database.windows.net/.default';
const REQUEST_TIMEOUT_MS = 10_000;
const CALLER_TIMEOUT_MS = 4_000;
/** The shortest pause after a failure. */
const SHORTEST_BACK_OFF_MS = 5_000;
/** No answer can make a pause longer than this: an hour, plus jitter of up to a tenth. */
const LONGEST_BACK_OFF_MS = 67 * 60_000;
/** Processor time that one answer may take; measured again where it seems to take more. */
const LONGEST_BLOCK_MS = 50;

/**
 * Uses a credential object that answers as `script` says and correctly afterwards, on a driven clock, and returns a line for
 * each broken promise: one request at a time, a pause after each failure, an end to each pause, callers that settle in time
 * with a typed error, no crash, no secret in an error.
 */
export async function useCredentialObject(script: readonly Outcome[], secret: string): Promise<string[]> {
  for (let attempt = 1; ; attempt += 1) {
    using clock = new DrivenClock(Date.now()).install({ immediates: false });
    const broken = await drive(script, secret, clock);
    // Processor time is also that of the garbage collector, and of a busy machine: only what takes long each time counts.
    if (attempt === 3 || !broken.some((line) => line.includes(BLOCKED))) return broken;
  }
}

const BLOCKED = 'blocked the event loop';

async function drive(script: readonly Outcome[], secret: string, clock: DrivenClock): Promise<string[]> {
  const broken = new Set<string>();
  const credential = new ScriptedCredential(script, clock, (line) => broken.add(line));
  const tokens = new TokenCache(credential, { requestTimeoutMs: REQUEST_TIMEOUT_MS });
  let waiting = 0;
  let served = false;
  const call = (): void => {
    const calledAt = clock.now;
    waiting += 1;
    tokens.get(SCOPE, { timeoutMs: CALLER_TIMEOUT_MS }).then(
      () => {
        waiting -= 1;
        served = true;
      },
      (error: unknown) => {
        waiting -= 1;
        for (const line of judge(error, secret)) broken.add(line);
        if (clock.now - calledAt > CALLER_TIMEOUT_MS + 100) broken.add(`a caller waited ${clock.now - calledAt} ms`);
      },
    );
  };
  const endOfScriptMs = script.length * (LONGEST_BACK_OFF_MS + REQUEST_TIMEOUT_MS);
  for (let passed = 0; passed < endOfScriptMs && !credential.well && !served; ) {
    if (waiting < 20) call();
    // The beginning matters most; an hour of silence is passed in longer steps.
    const stepMs = passed < 30_000 ? 250 : passed < 180_000 ? 1_000 : 30_000;
    await clock.pass(stepMs);
    passed += stepMs;
  }
  await clock.pass(CALLER_TIMEOUT_MS + 100);
  if (!credential.well && !served) broken.add('a pause without end: the credential works again and is not asked');
  if (waiting > 0) broken.add(`${waiting} callers have not settled`);
  const blockedMs = credential.longestBlockMs;
  if (blockedMs > LONGEST_BLOCK_MS) broken.add(`an answer ${BLOCKED} for ${Math.round(blockedMs)} ms`);
  return [...broken];
}

class ScriptedCredential implements TokenCredential {
  /** The script is over, and the credential was asked again. */
  well = false;
  longestBlockMs = 0;
  readonly #script: Outcome[];
  readonly #clock: DrivenClock;
  readonly #report: (line: string) => void;
  #inFlight = 0;
  #failedAt = Number.NEGATIVE_INFINITY;

  constructor(script: readonly Outcome[], clock: DrivenClock, report: (line: string) => void) {
    this.#script = [...script];
    this.#clock = clock;
    this.#report = report;
  }

  getToken(_scope: string | string[], options?: { abortSignal?: unknown }): Promise<AccessToken> {
    const now = this.#clock.now;
    const next = this.#script.shift();
    if (now - this.#failedAt < SHORTEST_BACK_OFF_MS - 1)
      this.#report(`asked ${now - this.#failedAt} ms after a failure`);
    if (next === undefined) {
      this.well = true;
      return Promise.resolve({ token: 'good'.repeat(10), expiresOnTimestamp: Date.now() + 3_600_000 });
    }
    if (this.#inFlight > 0) this.#report(`${this.#inFlight + 1} requests at a time`);
    this.#inFlight += 1;
    let over = false;
    const end = (): void => {
      if (over) return;
      over = true;
      this.#inFlight -= 1;
      if (next.how !== 'resolves') this.#failedAt = this.#clock.now;
      this.#measure();
    };
    (options?.abortSignal as AbortSignal | undefined)?.addEventListener('abort', end);
    if (next.how === 'throws') {
      end();
      throw next.value.make();
    }
    if (next.how === 'hangs') return new Promise(() => {});
    return new Promise((resolve, reject) => {
      setTimeout(() => {
        end();
        if (next.how === 'resolves') resolve(next.value.make() as AccessToken);
        else reject(next.value.make());
      }, next.afterMs);
    });
  }

  /** Processor time from now until everything that follows from an answer at once has been done. */
  #measure(): void {
    const before = process.cpuUsage();
    setImmediate(() => {
      const { user, system } = process.cpuUsage(before);
      this.longestBlockMs = Math.max(this.longestBlockMs, (user + system) / 1000);
    });
  }
}

function judge(error: unknown, secret: string): string[] {
  const broken: string[] = [];
  if (!(error instanceof TokenPoolError)) return [`not a typed error: ${String(error).slice(0, 80)}`];
  if (!/^ERR_[A-Z_]+$/.test(String(error.code))) broken.push(`an error with the code ${String(error.code)}`);
  if (typeof error.message !== 'string' || error.message.trim() === '') broken.push('an error without a message');
  const { retryAfterMs } = error;
  if (retryAfterMs !== undefined && !(Number.isFinite(retryAfterMs) && retryAfterMs >= 0)) {
    broken.push(`an error with retryAfterMs ${String(retryAfterMs)}`);
  }
  if (secretIn(everythingPrinted(error), [secret])) broken.push('a secret in an error');
  return broken;
}

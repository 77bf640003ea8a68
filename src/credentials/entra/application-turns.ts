import { AbortedError, CredentialError, TokenThrottledError, TokenTimeoutError } from '../../errors.js';
import { backOffMs } from '../../time.js';

/** Maximum number of concurrent requests of one application on behalf of its users. */
const MOST_AT_ONCE = 10;
/** Maximum for one user: assertions forged in one user's name leave half of the turns to the other users. */
const MOST_PER_USER = MOST_AT_ONCE / 2;
/** Longest wait for a turn, ms. It does not count against the time limit of the request itself. */
export const LONGEST_TURN_WAIT_MS = 10_000;
/** The pause after a 429 without `Retry-After`, as after any other failure (P5). */
const BACK_OFF = { firstMs: 5_000, longestMs: 60_000, jitter: 0.1 };

interface Waiting {
  start: () => void;
  refuse: (error: Error) => void;
}

/**
 * The turns of one application at its identity provider, for all users on whose behalf it requests tokens. Each assertion
 * has its own back-off, because the refusal of one says nothing about another; a throttled application has to pause as a
 * whole (P5). At most 10 requests are under way at once, 5 of them for one user; the others wait, each user in turn.
 */
export class ApplicationTurns {
  readonly #clientId: string;
  #running = 0;
  readonly #runningOf = new Map<string, number>();
  /** By user, the one whose turn is next first. */
  readonly #waiting = new Map<string, Waiting[]>();
  #throttledInRow = 0;
  /** Monotonic ms. */
  #throttledAt = Number.NEGATIVE_INFINITY;
  #pausedUntil = Number.NEGATIVE_INFINITY;
  #status: number | undefined;

  constructor(clientId: string) {
    this.#clientId = clientId;
  }

  /**
   * Runs one request in its turn.
   *
   * @param user the user that the request is for; an unproven claim is enough, because it only decides the order
   * @throws TokenThrottledError while the application is throttled, TokenTimeoutError if there was no turn within 10 s,
   *   AbortedError; and the errors of `request`
   */
  async run<T>(user: string, request: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    await this.#turn(user, signal);
    const startedAt = performance.now();
    const leave = this.#leave(user);
    // A proof or a secret from the caller's own function may ignore the signal.
    signal?.addEventListener('abort', leave, { once: true });
    try {
      const answer = await request();
      if (startedAt > this.#throttledAt) this.#throttledInRow = 0;
      return answer;
    } catch (error) {
      this.#failed(error, startedAt);
      throw error;
    } finally {
      signal?.removeEventListener('abort', leave);
      leave();
    }
  }

  #turn(user: string, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(aborted(signal));
    const pauseMs = this.#pausedUntil - performance.now();
    if (pauseMs > 0) return Promise.reject(this.#throttled(pauseMs));
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      const waiting: Waiting = {
        start: () => {
          stop();
          resolve();
        },
        refuse: (error) => {
          stop();
          reject(error);
        },
      };
      const giveUp = (error: Error): void => {
        this.#remove(user, waiting);
        waiting.refuse(error);
      };
      const onAbort = (): void => giveUp(aborted(signal));
      const timer = setTimeout(() => giveUp(this.#noTurn()), LONGEST_TURN_WAIT_MS);
      // The request's own timer keeps the process alive while a caller waits for it.
      timer.unref();
      signal?.addEventListener('abort', onAbort, { once: true });
      const ofUser = this.#waiting.get(user);
      if (ofUser === undefined) this.#waiting.set(user, [waiting]);
      else ofUser.push(waiting);
      this.#startNext();
    });
  }

  #startNext(): void {
    while (this.#running < MOST_AT_ONCE) {
      const user = this.#nextUser();
      if (user === undefined) return;
      const ofUser = this.#waiting.get(user) as Waiting[];
      const next = ofUser.shift() as Waiting;
      // The user goes behind all other users.
      this.#waiting.delete(user);
      if (ofUser.length > 0) this.#waiting.set(user, ofUser);
      this.#running += 1;
      this.#runningOf.set(user, (this.#runningOf.get(user) ?? 0) + 1);
      next.start();
    }
  }

  #nextUser(): string | undefined {
    for (const user of this.#waiting.keys()) if ((this.#runningOf.get(user) ?? 0) < MOST_PER_USER) return user;
    return undefined;
  }

  #remove(user: string, waiting: Waiting): void {
    const others = this.#waiting.get(user)?.filter((other) => other !== waiting) ?? [];
    if (others.length > 0) this.#waiting.set(user, others);
    else this.#waiting.delete(user);
  }

  /** Ends a turn, once. */
  #leave(user: string): () => void {
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#running -= 1;
      const others = (this.#runningOf.get(user) ?? 1) - 1;
      if (others === 0) this.#runningOf.delete(user);
      else this.#runningOf.set(user, others);
      this.#startNext();
    };
  }

  /** A refused assertion concerns only its own user; throttling concerns the application. */
  #failed(error: unknown, startedAt: number): void {
    if (!(error instanceof CredentialError)) return;
    const { status, retryAfterMs } = error;
    if (status !== 429 && (status !== 503 || retryAfterMs === undefined)) return;
    const now = performance.now();
    // Requests that were under way together are throttled together: that is one failure.
    if (startedAt > this.#throttledAt) this.#throttledInRow += 1;
    this.#throttledAt = now;
    this.#status = status;
    const pauseMs = backOffMs(this.#throttledInRow, BACK_OFF, retryAfterMs);
    this.#pausedUntil = Math.max(this.#pausedUntil, now + pauseMs);
    const refused = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    for (const waiting of refused) waiting.refuse(this.#throttled(this.#pausedUntil - now));
  }

  /** Without the provider's own text, which may be about another user. */
  #throttled(pauseMs: number): TokenThrottledError {
    return new TokenThrottledError(
      `The identity provider throttles application ${this.#clientId}: no on-behalf-of request is sent for now.`,
      {
        status: this.#status,
        retryAfterMs: Math.ceil(pauseMs),
        hint: 'Verify the signature of a token before you use it, and use each user token for as long as it is valid.',
      },
    );
  }

  #noTurn(): TokenTimeoutError {
    return new TokenTimeoutError(
      `No turn within ${LONGEST_TURN_WAIT_MS} ms: ${this.#running} on-behalf-of requests of application ${this.#clientId} are under way.`,
      {
        hint: 'Check the network path to the identity provider, and verify the signature of a token before you use it.',
      },
    );
  }
}

const turns = new Map<string, ApplicationTurns>();

/** The turns of an application, the same in the whole process. The configuration names the applications, so they are few. */
export function turnsOf(tokenEndpoint: string, clientId: string): ApplicationTurns {
  const key = JSON.stringify([tokenEndpoint, clientId]);
  let ofApplication = turns.get(key);
  if (ofApplication === undefined) {
    ofApplication = new ApplicationTurns(clientId);
    turns.set(key, ofApplication);
  }
  return ofApplication;
}

function aborted(signal: AbortSignal | undefined): AbortedError {
  return new AbortedError('The token request was aborted.', { cause: signal?.reason });
}

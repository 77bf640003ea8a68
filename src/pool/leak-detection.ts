import { publish } from '../channels.js';
import { CheckoutStack } from './checkout-stack.js';
import type { Borrower } from './connection-source.js';

/** Maximum number of stacks captured per window: capturing them must not slow down a busy pool. */
const MOST_STACKS = 50;
const WINDOW_MS = 100;
/** The maximum number of holders named in an error. */
const MOST_HOLDERS = 3;

const NEVER = Number.POSITIVE_INFINITY;

/** The part of a connection that is used here. */
interface Borrowed {
  readonly live: { readonly id: number };
}

/** One checkout, until its connection is returned. */
interface Borrowing {
  /** Monotonic ms. */
  readonly since: number;
  /** Undefined if it was not captured, because there were too many checkouts at that moment. */
  readonly stack: CheckoutStack | undefined;
  isReported: boolean;
}

/**
 * Finds connections that are borrowed for longer than `pool.leakDetectionMillis`. Each is reported once, with the stack
 * of its checkout. There is no timer per checkout: housekeeping checks when the first of them may have become a leak.
 */
export class LeakDetection {
  readonly #pool: string;
  readonly #thresholdMs: number;
  /** In the order in which they were borrowed. */
  readonly #borrowings = new Map<Borrowed, Borrowing>();
  /** Leaks reported since the start. */
  count = 0;
  /** Stacks that may still be captured in this window. */
  #budget = MOST_STACKS;
  #windowSince = performance.now();

  constructor(pool: string, thresholdMs: number) {
    this.#pool = pool;
    this.#thresholdMs = thresholdMs;
  }

  /** The stack of the caller of `below`, unless it is known; sampled under load, so that a busy pool stays fast. */
  capture(
    below: (...args: never[]) => unknown,
    known?: { readonly stack?: CheckoutStack | undefined },
  ): CheckoutStack | undefined {
    if (known?.stack !== undefined) return known.stack;
    if (this.#budget === 0) {
      const now = performance.now();
      if (now - this.#windowSince < WINDOW_MS) return undefined;
      this.#windowSince = now;
      this.#budget = MOST_STACKS;
    }
    this.#budget -= 1;
    return new CheckoutStack(below);
  }

  /** Returns when to check, monotonic ms. */
  borrowed(pooled: Borrowed, stack: CheckoutStack | undefined): number {
    const since = performance.now();
    this.#borrowings.set(pooled, { since, stack, isReported: false });
    return since + this.#thresholdMs;
  }

  returned(pooled: Borrowed): void {
    const borrowing = this.#borrowings.get(pooled);
    this.#borrowings.delete(pooled);
    if (borrowing?.isReported !== true) return;
    publish('connection:leak-returned', () => {
      const { connection, borrowedMs, holder } = borrowerOf(pooled, borrowing, performance.now());
      return { pool: this.#pool, connection, borrowedMs, holder };
    });
  }

  /** Reports new leaks; returns when to check again, monotonic ms. */
  look(now: number): number {
    for (const [pooled, borrowing] of this.#borrowings) {
      if (borrowing.isReported) continue;
      // In the order in which they were borrowed.
      const leaksAt = borrowing.since + this.#thresholdMs;
      if (now < leaksAt) return leaksAt;
      borrowing.isReported = true;
      this.count += 1;
      publish('connection:leaked', () => ({ pool: this.#pool, ...borrowerOf(pooled, borrowing, now) }));
    }
    return NEVER;
  }

  /** The borrowed connections and their holders, longest first. */
  get borrowers(): Borrower[] {
    const now = performance.now();
    return [...this.#borrowings].map(([pooled, borrowing]) => borrowerOf(pooled, borrowing, now));
  }
}

function borrowerOf({ live }: Borrowed, { since, stack }: Borrowing, now: number): Borrower {
  return { connection: live.id, borrowedMs: now - since, holder: stack?.holder, stack: stack?.text };
}

/** The holders of most connections, for an error: one sentence or an empty string. */
export function holdersInWords(borrowers: readonly Borrower[]): string {
  const byHolder = new Map<string, { count: number; longestMs: number }>();
  for (const { holder = 'callers that were not sampled', borrowedMs } of borrowers) {
    const { count, longestMs } = byHolder.get(holder) ?? { count: 0, longestMs: 0 };
    byHolder.set(holder, { count: count + 1, longestMs: Math.max(longestMs, borrowedMs) });
  }
  if (byHolder.size === 0) return '';
  const most = [...byHolder].sort(([, a], [, b]) => b.count - a.count || b.longestMs - a.longestMs);
  const named = most
    .slice(0, MOST_HOLDERS)
    .map(([holder, { count, longestMs }]) => `${count} by ${holder}, longest ${(longestMs / 1_000).toFixed(1)} s`);
  if (most.length > MOST_HOLDERS) {
    named.push(`${most.slice(MOST_HOLDERS).reduce((sum, [, { count }]) => sum + count, 0)} by others`);
  }
  return ` Borrowed: ${named.join('; ')}.`;
}

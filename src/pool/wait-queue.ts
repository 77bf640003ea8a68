import { AbortedError, PoolClosedError } from '../errors.js';
import { onAbort } from '../time.js';
import type { CheckoutStack } from './checkout-stack.js';

/** One waiting caller of `acquire`. */
export interface Waiter {
  /** Monotonic ms. */
  readonly startedAt: number;
  readonly deadline: number;
  /** True once it has a connection or an error. */
  readonly settled: boolean;
  /** The connection that is being opened for it. */
  dial: { readonly state: string } | undefined;
  /** A connection is being checked for it: it keeps its turn and gets no other connection meanwhile. */
  checking: boolean;
  /** The stack of its request; only with leak detection. */
  stack: CheckoutStack | undefined;
  /** Resolves when it has settled. */
  readonly done: Promise<void>;
}

class QueuedWaiter<T> implements Waiter {
  settled = false;
  dial: { readonly state: string } | undefined;
  checking = false;
  stack: CheckoutStack | undefined;
  previous: QueuedWaiter<T> | undefined;
  next: QueuedWaiter<T> | undefined;
  stopListening: (() => void) | undefined;
  readonly result: Promise<T>;
  resolve!: (value: T) => void;
  reject!: (error: Error) => void;
  #done: Promise<void> | undefined;
  #markDone: (() => void) | undefined;

  constructor(
    readonly startedAt: number,
    readonly deadline: number,
  ) {
    this.result = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  get done(): Promise<void> {
    this.#done ??= this.settled
      ? Promise.resolve()
      : new Promise((resolve) => {
          this.#markDone = resolve;
        });
    return this.#done;
  }

  settle(): void {
    this.settled = true;
    this.stopListening?.();
    this.#markDone?.();
  }
}

export interface QueueOwner {
  /** The error for a waiter whose time is up. */
  timedOut(waiter: Waiter): Error;
}

/**
 * Callers in order of arrival. Each leaves with a connection, with an error, at its deadline, or when its AbortSignal
 * fires. There is one timer for all. It keeps running, unref'd, when the queue is empty, so that a busy pool does not
 * start a timer for each caller.
 */
export class WaitQueue<T> {
  readonly #timeoutMs: number;
  readonly #owner: QueueOwner;
  /** The ends of a linked list, because any caller may leave. */
  #oldest: QueuedWaiter<T> | undefined;
  #newest: QueuedWaiter<T> | undefined;
  #length = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(timeoutMs: number, owner: QueueOwner) {
    this.#timeoutMs = timeoutMs;
    this.#owner = owner;
  }

  get length(): number {
    return this.#length;
  }

  /** Callers may leave during the iteration; then one may be visited twice. */
  *[Symbol.iterator](): Iterator<Waiter> {
    for (let waiter = this.#oldest; waiter !== undefined; ) {
      const { next } = waiter;
      yield waiter;
      if (!waiter.settled) waiter = waiter.next;
      else waiter = next?.settled === true ? this.#oldest : next;
    }
  }

  /** The first caller without a connection being checked. */
  get first(): Waiter | undefined {
    let waiter = this.#oldest;
    while (waiter?.checking === true) waiter = waiter.next;
    return waiter;
  }

  /** Adds a caller at the end. `startedAt`: monotonic ms, if it has waited elsewhere before. */
  add(
    signal: AbortSignal | null | undefined,
    startedAt = performance.now(),
  ): { readonly waiter: Waiter; readonly result: Promise<T> } {
    const waiter = new QueuedWaiter<T>(startedAt, startedAt + this.#timeoutMs);
    if (this.#newest === undefined) this.#oldest = waiter;
    else this.#newest.next = waiter;
    waiter.previous = this.#newest;
    this.#newest = waiter;
    this.#length += 1;
    if (signal) waiter.stopListening = onAbort(signal, () => this.reject(waiter, aborted(signal)));
    if (waiter.deadline < this.#timerAt) this.#setTimer(waiter.deadline);
    else if (this.#length === 1) this.#timer?.ref();
    return { waiter, result: waiter.result };
  }

  /** False if the waiter has left. */
  serve(waiter: Waiter, value: T): boolean {
    if (!this.#remove(waiter as QueuedWaiter<T>)) return false;
    (waiter as QueuedWaiter<T>).resolve(value);
    return true;
  }

  reject(waiter: Waiter, error: Error): void {
    if (this.#remove(waiter as QueuedWaiter<T>)) (waiter as QueuedWaiter<T>).reject(error);
  }

  rejectAll(error: () => Error): void {
    while (this.#oldest !== undefined) this.reject(this.#oldest, error());
    clearTimeout(this.#timer);
  }

  #remove(waiter: QueuedWaiter<T>): boolean {
    if (waiter.settled) return false;
    const { previous, next } = waiter;
    if (previous === undefined) this.#oldest = next;
    else previous.next = next;
    if (next === undefined) this.#newest = previous;
    else next.previous = previous;
    // A connection may keep a reference to the caller that it was opened for, but not to the whole queue.
    waiter.previous = undefined;
    waiter.next = undefined;
    this.#length -= 1;
    waiter.settle();
    if (this.#length === 0) this.#timer?.unref();
    return true;
  }

  #setTimer(at: number): void {
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.#expire(), Math.max(0, at - performance.now()));
  }

  #expire(): void {
    // A timer may fire a fraction of a millisecond before its time.
    const now = performance.now() + 1;
    let next = Number.POSITIVE_INFINITY;
    this.#timer = undefined;
    this.#timerAt = next;
    for (const waiter of this) {
      if (waiter.deadline < now) this.reject(waiter, this.#owner.timedOut(waiter));
      else next = Math.min(next, waiter.deadline);
    }
    if (next < this.#timerAt) this.#setTimer(next);
  }
}

export function poolClosed(): PoolClosedError {
  return new PoolClosedError('The pool is closed.');
}

export function aborted(signal: AbortSignal): AbortedError {
  return new AbortedError('The wait for a connection was aborted.', { cause: signal.reason });
}

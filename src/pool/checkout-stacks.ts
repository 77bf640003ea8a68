import type { CheckoutStack } from './checkout-stack.js';

/**
 * Stacks of checkouts that a library makes only after the application has asked for them: mssql starts a request with
 * `setImmediate`, knex when its builder is awaited, and a stack does not reach back across that. The stack is therefore
 * captured when the request or builder is created, and stored with it.
 */
export class CheckoutStacks {
  readonly #capture: (below: (...args: never[]) => unknown) => CheckoutStack | undefined;
  readonly #stacks = new WeakMap<object, CheckoutStack>();
  #current: CheckoutStack | undefined;

  /** @param capture the pool's method, which samples under load */
  constructor(capture: (below: (...args: never[]) => unknown) => CheckoutStack | undefined) {
    this.#capture = capture;
  }

  /** Call while the application creates `requester`. */
  note(requester: object): void {
    const stack = this.#capture(CheckoutStacks.prototype.note);
    if (stack !== undefined) this.#stacks.set(requester, stack);
  }

  /** Runs a function that checks a connection out for `requester`. */
  during<T>(requester: object, checkOut: () => T): T {
    this.#current = this.#stacks.get(requester);
    try {
      return checkOut();
    } finally {
      this.#current = undefined;
    }
  }

  /** The stack of the current checkout. */
  get current(): CheckoutStack | undefined {
    return this.#current;
  }
}

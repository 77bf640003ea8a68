import type { CheckoutStack } from './checkout-stack.js';

/**
 * Stacks of checkouts that a library makes later than the application asks for them: mssql starts a request with
 * `setImmediate`, knex when its builder is awaited, and no stack reaches back over that. So the stack is captured when the
 * request or builder is created, and belongs to it.
 */
export class CheckoutStacks {
  readonly #capture: (below: (...args: never[]) => unknown) => CheckoutStack | undefined;
  readonly #stacks = new WeakMap<object, CheckoutStack>();
  #current: CheckoutStack | undefined;

  /** @param capture the pool's own, which samples under load */
  constructor(capture: (below: (...args: never[]) => unknown) => CheckoutStack | undefined) {
    this.#capture = capture;
  }

  /** The application is creating `requester`. */
  note(requester: object): void {
    const stack = this.#capture(CheckoutStacks.prototype.note);
    if (stack !== undefined) this.#stacks.set(requester, stack);
  }

  /** Runs what checks a connection out for `requester`. */
  during<T>(requester: object, checkOut: () => T): T {
    this.#current = this.#stacks.get(requester);
    try {
      return checkOut();
    } finally {
      this.#current = undefined;
    }
  }

  /** The stack of the checkout that is being made. */
  get current(): CheckoutStack | undefined {
    return this.#current;
  }
}

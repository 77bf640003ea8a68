import type { Connection } from 'tedious';
import { ConfigurationError, NotBorrowedError } from '../errors.js';
import { wasNotSent } from './retry-verdict.js';

/** What a checkout needs from its pool. */
interface Returnable {
  checkoutOf(connection: Connection): unknown;
  release(connection: Connection): void;
  destroy(connection: Connection): void;
}

/**
 * One checkout of a connection, until it is returned. Afterwards, another caller may borrow the same connection, and must
 * not lose it because the earlier one returns it a second time.
 */
export class Checkout {
  readonly #pool: Returnable;
  readonly #connection: Connection;
  readonly #id: unknown;

  /** @param connection has just been checked out of `pool` */
  constructor(pool: Returnable, connection: Connection) {
    this.#pool = pool;
    this.#connection = connection;
    this.#id = pool.checkoutOf(connection);
  }

  /** The connection has been returned or destroyed, and may belong to another caller. */
  get isOver(): boolean {
    return this.#id === undefined || this.#pool.checkoutOf(this.#connection) !== this.#id;
  }

  /** Returns the connection, unless it has already been returned. */
  release(): void {
    if (!this.isOver) this.#pool.release(this.#connection);
  }

  /** Closes the connection, unless it has been returned. */
  destroy(): void {
    if (!this.isOver) this.#pool.destroy(this.#connection);
  }
}

/** Runs `fn` with a connection that has just been checked out of `pool` and returns it afterwards, whatever happens. */
export async function withCheckout<T>(
  pool: Returnable,
  connection: Connection,
  fn: (connection: Connection) => T | Promise<T>,
  onCheckout?: (checkout: Checkout) => void,
): Promise<T> {
  const checkout = new Checkout(pool, connection);
  onCheckout?.(checkout);
  try {
    return await fn(connection);
  } finally {
    checkout.release();
  }
}

export function notBorrowed(): NotBorrowedError {
  return new NotBorrowedError(
    'This connection is not borrowed from this pool: it was returned before, or belongs to another pool.',
  );
}

/**
 * The error to report if `fn` failed because it used its connection after returning it; undefined for any other error.
 */
export function usedAfterReturn(error: unknown, checkout: Checkout, by: string): NotBorrowedError | undefined {
  if (!checkout.isOver || !wasNotSent(error)) return undefined;
  return new NotBorrowedError('The function returned its connection to the pool and then used it.', {
    cause: error,
    hint: `Leave release() and destroy() to ${by}().`,
  });
}

/** The error if `fn` has returned its connection inside a transaction. */
export function returnedEarly(): NotBorrowedError {
  return new NotBorrowedError(
    'The function returned its connection to the pool, so transaction() could not send COMMIT.',
    { hint: 'Leave release() and destroy() to transaction().' },
  );
}

/**
 * @throws ConfigurationError for a wrapper of a pool whose `use` drops its options, so that a checkout cannot be
 * tracked
 */
export function missingCheckout(call: string): never {
  throw new ConfigurationError(
    `${call} needs a pool whose use(fn, options) passes its options on; this one dropped them.`,
  );
}

import type { Connection } from 'tedious';
import { AbortedError, NotBorrowedError } from '../errors.js';
import { CheckoutStacks } from './checkout-stacks.js';
import type { ConnectionSource } from './connection-source.js';

/** One request for a connection, as tarn hands it out. */
export interface PendingAcquire {
  promise: Promise<Connection>;
  /** Gives up waiting; `promise` rejects. */
  abort(): void;
}

/** The part of tarn's `Pool` that mssql, knex and kysely use. */
export interface TarnFacade {
  acquire(): PendingAcquire;
  /** Returns a connection to the pool; false if it was not borrowed from here. */
  release(connection: Connection): boolean;
  /**
   * Closes the pool, unless it is shared: waits for borrowed connections, at most `timeoutMs` (default 10,000), then closes
   * every connection. tarn waits without a limit, and forever if a connection is never returned.
   */
  destroy(options?: { timeoutMs?: number | undefined }): Promise<void>;
  /** True from the moment `destroy` is called. */
  readonly destroyed: boolean;
  numUsed(): number;
  numFree(): number;
  numPendingAcquires(): number;
  numPendingCreates(): number;
  /** Connections are validated inside `acquire`. Always 0. */
  numPendingValidations(): number;
  isEmpty(): boolean;
  /** For a library that checks connections out later than the application asks; undefined without leak detection. */
  readonly stacks: CheckoutStacks | undefined;
}

export interface TarnFacadeOptions {
  /** Maps a pool error to the one that users of the calling library expect. */
  mapError?: ((error: unknown) => unknown) | undefined;
  /** The pool has another owner: `destroy` leaves it open. */
  shared?: boolean | undefined;
}

/** A token pool with the interface of a tarn pool, for libraries that expect tarn. */
export function tarnFacade(
  pool: ConnectionSource,
  { mapError = (error) => error, shared = false }: TarnFacadeOptions = {},
): TarnFacade {
  let destroyed = false;
  const stacks = pool.captureStack && new CheckoutStacks(pool.captureStack);

  return {
    stacks,
    acquire() {
      // Not with an AbortSignal: without one, the checkout of an idle connection costs no timer.
      let gaveUp = false;
      let giveUp: (error: unknown) => void = () => {};
      const promise = new Promise<Connection>((resolve, reject) => {
        giveUp = reject;
        const stack = stacks?.current;
        pool.acquire(stack && { stack }).then(
          (connection) => (gaveUp ? pool.release(connection) : resolve(connection)),
          (error) => reject(mapError(error)),
        );
      });
      return {
        promise,
        abort() {
          gaveUp = true;
          giveUp(mapError(new AbortedError('The caller gave up waiting for a connection.')));
        },
      };
    },
    release(connection) {
      try {
        pool.release(connection);
        return true;
      } catch (error) {
        if (error instanceof NotBorrowedError) return false;
        throw error;
      }
    },
    destroy(options) {
      destroyed = true;
      return shared ? Promise.resolve() : pool.close(options);
    },
    get destroyed() {
      return destroyed;
    },
    numUsed: () => pool.stats.borrowed,
    numFree: () => pool.stats.available,
    numPendingAcquires: () => pool.stats.pending,
    numPendingCreates: () => pool.stats.opening,
    numPendingValidations: () => 0,
    isEmpty: () => pool.stats.size === 0 && pool.stats.pending === 0,
  };
}

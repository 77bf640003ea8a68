import { AsyncLocalStorage } from 'node:async_hooks';
import { ConfigurationError } from '../errors.js';
import type { ConnectionSource } from '../pool/connection-source.js';

/**
 * The connections of one identity. Its pool is opened on demand and may be closed while idle, to free its connections
 * for others.
 */
export interface IdentityPool extends Omit<ConnectionSource, 'close'> {
  /** Key of the identity; holds no secret. */
  readonly key: string;
}

/** The identity of the current call: one per asynchronous context. */
export class CurrentIdentity {
  readonly #storage = new AsyncLocalStorage<IdentityPool>();

  /** Runs `fn`, and everything that it starts, for an identity. */
  run<T>(identity: IdentityPool, fn: () => T): T {
    return this.#storage.run(identity, fn);
  }

  /** False outside `run`. */
  get isKnown(): boolean {
    return this.#storage.getStore() !== undefined;
  }

  /** @throws ConfigurationError outside `run` */
  get(): IdentityPool {
    const identity = this.#storage.getStore();
    if (identity !== undefined) return identity;
    throw new ConfigurationError('No identity: a connection was requested outside pools.run().', {
      hint:
        'For requests, call pools.run(identity, next) in a middleware that runs before any code that uses the database. ' +
        'At startup, use an identity of the application itself, e.g. pools.run(identity, () => dataSource.initialize()).',
    });
  }
}

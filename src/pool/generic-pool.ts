import { require } from '../require.js';

/** The part of generic-pool 3.9 that is used. */
export interface ResourcePool<T> {
  acquire(): Promise<T>;
  destroy(resource: T): Promise<void>;
  /** Resolves when every request has been served and every resource destroyed; refuses new requests from now on. */
  drain(): Promise<void>;
  /** Resources that exist or are being created. */
  readonly size: number;
  /** Requests waiting until a resource may be created. */
  readonly pending: number;
  readonly max: number;
}

/** Creates and destroys the resources of a pool. */
export interface ResourceFactory<T> {
  /** Never rejects: generic-pool would call it again immediately and endlessly (its issue #175). */
  create(): Promise<T>;
  destroy(resource: T): Promise<void>;
}

/**
 * Admits, bounds, creates, destroys and drains physical connections: each is one resource, acquired for its whole life,
 * from its dial until its socket is gone. `create` resolves with the outcome of the dial, good or failed.
 */
export function createResourcePool<T>(factory: ResourceFactory<T>, max: number): ResourcePool<T> {
  // Loaded with the first pool: its 18 files would be half of what importing this package costs.
  const { createPool } = require('generic-pool') as {
    createPool: (factory: object, options: object) => ResourcePool<T>;
  };
  return createPool(factory, { min: 0, max });
}

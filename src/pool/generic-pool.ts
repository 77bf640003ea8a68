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

/** The class `Pool` of generic-pool. Its constructor takes the classes of its evictor and its queues. */
type PoolClass = new <T>(
  Evictor: new () => object,
  Resources: new () => Fifo,
  Requests: new () => Fifo,
  factory: ResourceFactory<T>,
  options: { min: number; max: number },
) => ResourcePool<T>;

/**
 * Admits, bounds, creates, destroys and drains physical connections: each is one resource, acquired for its whole life,
 * from its dial until its socket is gone. `create` resolves with the outcome of the dial, good or failed.
 *
 * An application may have a pool for each of a thousand tenants, so what generic-pool keeps for features that are not used here is
 * replaced: its queues with priorities (0.4 KiB of each pool), its evictor, and its sets for validation (0.5 KiB).
 */
export function createResourcePool<T>(factory: ResourceFactory<T>, max: number): ResourcePool<T> {
  // Loaded with the first pool: its 18 files would be half of what importing this package costs.
  const { Pool } = require('generic-pool') as { Pool: PoolClass };
  const pool = new Pool(NoEvictor, Fifo, Fifo, factory, { min: 0, max });
  Object.assign(pool, { _testOnBorrowResources: NONE, _testOnReturnResources: NONE, _validationOperations: NONE });
  return pool;
}

/** generic-pool tests nothing: connection-check.ts decides when a connection is checked. */
const NONE: ReadonlySet<never> = new Set();

/** housekeeping.ts decides when an idle connection is closed. */
class NoEvictor {}

/** Requests that wait, or resources that no request has taken yet: usually none. First in, first out. */
class Fifo {
  #items: unknown[] | undefined;

  get length(): number {
    return this.#items?.length ?? 0;
  }

  get tail(): unknown {
    return this.#items?.at(-1);
  }

  push(item: unknown): void {
    this.#items ??= [];
    this.#items.push(item);
  }

  shift(): unknown {
    const item = this.#items?.shift();
    if (this.#items?.length === 0) this.#items = undefined;
    return item;
  }

  /** For requests. All have the same priority. */
  enqueue(request: unknown): void {
    this.push(request);
  }

  dequeue(): unknown {
    return this.shift();
  }

  /** For the evictor, which never runs. */
  iterator(): undefined {}
}

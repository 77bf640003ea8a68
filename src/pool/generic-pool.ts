import { require } from '../require.js';

/**
 * The public surface of generic-pool 3.9 that its own types leave out: the constructor that takes an evictor, and
 * priorities. What is known to go wrong with it, and what we do about each, is in docs/how-it-works.md.
 */
export interface ResourcePool<T> {
  acquire(priority?: number): Promise<T>;
  release(resource: T): Promise<void>;
  destroy(resource: T): Promise<void>;
  drain(): Promise<void>;
  clear(): Promise<void>;
  /** Resources waiting to be acquired. */
  readonly available: number;
  /** Callers waiting. */
  readonly pending: number;
  readonly size: number;
}

export interface ResourceFactory<T> {
  /** Must not reject: generic-pool would call it again at once, for ever (its issue #175). */
  create(): Promise<T>;
  destroy(resource: T): Promise<void>;
}

export interface ResourcePoolOptions {
  max: number;
  min: number;
  acquireTimeoutMillis: number;
}

type PoolConstructor = new <T>(
  Evictor: new () => { evict(): boolean },
  Deque: unknown,
  PriorityQueue: unknown,
  factory: ResourceFactory<T>,
  options: object,
) => ResourcePool<T>;

/**
 * generic-pool asks its evictor about every idle resource at a fixed interval and drops only idle ones. Upkeep knows when
 * each place is due and looks at nothing else, so this one never evicts.
 */
class NeverEvict {
  evict(): boolean {
    return false;
  }
}

/** A pool that queues, bounds and orders; last in, first out. Callers with priority 0 go before those with 1. */
export function createResourcePool<T>(factory: ResourceFactory<T>, options: ResourcePoolOptions): ResourcePool<T> {
  // Loaded with the first pool: its 18 files would be half of what importing this package costs.
  const { Pool, Deque, PriorityQueue } = require('generic-pool') as {
    Pool: PoolConstructor;
    Deque: unknown;
    PriorityQueue: unknown;
  };
  return new Pool<T>(NeverEvict, Deque, PriorityQueue, factory, {
    ...options,
    fifo: false,
    priorityRange: 2,
    // Checks are made after the hand-over: a validate that rejects leaks the resource (#195), and costs a promise a time.
    testOnBorrow: false,
    evictionRunIntervalMillis: 0,
  });
}

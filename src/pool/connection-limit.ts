import { PoolClosedError } from '../errors.js';

/**
 * Permits for physical connections, in addition to a pool's own `max` and `overlap`, which generic-pool enforces. A permit is taken
 * before the socket is opened and released when it is closed (P7).
 */
export interface ConnectionLimit {
  /** Takes a permit if one is free and no other pool waits for it. */
  tryTake(): boolean;
  /** Takes a permit, in turn. @throws PoolClosedError once closed */
  take(): Promise<void>;
  give(): void;
  /** Rejects every wait from now on. */
  close(): void;
}

/** The limit of a single pool: none besides its own. */
export const noFurtherLimit: ConnectionLimit = {
  tryTake: () => true,
  take: () => Promise.resolve(),
  give: () => {},
  close: () => {},
};

interface Waiting {
  share: LimitShare;
  resolve: () => void;
  reject: (error: Error) => void;
}

/**
 * Limits the physical connections of many pools together. The pool with the fewest connections goes first, and among equals
 * the one that has waited longest, so that no identity can starve another.
 */
export class SharedLimit {
  readonly max: number;
  readonly #onWait: () => void;
  readonly #queue: Waiting[] = [];
  #taken = 0;

  /** @param onWait called when a pool has to wait: an idle connection should be closed */
  constructor(max: number, onWait: () => void) {
    this.max = max;
    this.#onWait = onWait;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Number of waiting requests for a permit. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** One pool's share of the limit, with its own maximum. */
  share(ownMax: number): LimitShare {
    return new LimitShare(this, ownMax);
  }

  /** Whether this pool has at least two connections more than a waiting pool, or the waiting pool has none. */
  shouldYield(share: LimitShare): boolean {
    return this.#queue.some(
      (waiting) => waiting.share !== share && (waiting.share.taken === 0 || waiting.share.taken + 1 < share.taken),
    );
  }

  /** @internal */
  tryTake(): boolean {
    if (this.#taken >= this.max || this.#queue.length > 0) return false;
    this.#taken += 1;
    return true;
  }

  /** @internal */
  wait(share: LimitShare): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ share, resolve, reject });
      this.#onWait();
    });
  }

  /** @internal */
  give(): void {
    const next = this.#next();
    if (next === undefined) this.#taken -= 1;
    else next.resolve();
  }

  /** Rejects the waits of a pool that is being closed. @internal */
  reject(share: LimitShare): void {
    for (const waiting of this.#queue.filter((each) => each.share === share)) {
      this.#queue.splice(this.#queue.indexOf(waiting), 1);
      waiting.reject(closed());
    }
  }

  #next(): Waiting | undefined {
    let next = this.#queue[0];
    for (const waiting of this.#queue) if (next && waiting.share.taken < next.share.taken) next = waiting;
    if (next !== undefined) this.#queue.splice(this.#queue.indexOf(next), 1);
    return next;
  }
}

/** One pool's share of a {@link SharedLimit}. */
export class LimitShare implements ConnectionLimit {
  readonly #shared: SharedLimit;
  readonly #ownMax: number;
  #closed = false;
  /** Permits that it has. */
  taken = 0;
  /** Permits that it waits for. */
  waiting = 0;

  constructor(shared: SharedLimit, ownMax: number) {
    this.#shared = shared;
    this.#ownMax = ownMax;
  }

  tryTake(): boolean {
    if (this.#closed || this.taken + this.waiting >= this.#ownMax || !this.#shared.tryTake()) return false;
    this.taken += 1;
    return true;
  }

  async take(): Promise<void> {
    if (this.#closed) throw closed();
    if (this.tryTake()) return;
    this.waiting += 1;
    try {
      await this.#shared.wait(this);
      this.taken += 1;
    } finally {
      this.waiting -= 1;
    }
  }

  give(): void {
    this.taken -= 1;
    this.#shared.give();
  }

  close(): void {
    this.#closed = true;
    this.#shared.reject(this);
  }
}

function closed(): PoolClosedError {
  return new PoolClosedError('The pool is closed.');
}

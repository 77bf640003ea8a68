import { PoolClosedError } from '../errors.js';
import { Capacity, type ConnectionBound } from './capacity.js';

interface Waiter {
  share: RoomShare;
  resolve: () => void;
  reject: (error: Error) => void;
}

/**
 * Bounds the physical connections of many pools together. Whoever has the fewest goes first, and among those whoever waits
 * longest, so that no identity can starve another.
 */
export class Room {
  readonly bound: number;
  readonly #onWait: () => void;
  readonly #waiting: Waiter[] = [];
  #taken = 0;

  /** @param onWait called when somebody has to wait: something should be closed */
  constructor(bound: number, onWait: () => void) {
    this.bound = bound;
    this.#onWait = onWait;
  }

  get taken(): number {
    return this.#taken;
  }

  /** How many connections are waited for. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** The bound of one pool, within this one. */
  share(ownBound: number): RoomShare {
    return new RoomShare(this, ownBound);
  }

  /** Whether a pool has a connection more than somebody who waits would have with it, or the other one has none. */
  shouldYield(share: RoomShare): boolean {
    return this.#waiting.some(
      (waiter) => waiter.share !== share && (waiter.share.taken === 0 || waiter.share.taken + 1 < share.taken),
    );
  }

  tryTake(): boolean {
    if (this.#taken >= this.bound || this.#waiting.length > 0) return false;
    this.#taken += 1;
    return true;
  }

  take(share: RoomShare): Promise<void> {
    if (this.tryTake()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ share, resolve, reject });
      this.#onWait();
    });
  }

  give(): void {
    const next = this.#next();
    if (next === undefined) this.#taken -= 1;
    else next.resolve();
  }

  /** Sends away whoever waits for a pool that is being closed. */
  turnAway(share: RoomShare): void {
    for (const waiter of this.#waiting.filter((each) => each.share === share)) {
      this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
      waiter.reject(new PoolClosedError('The pool is closed.'));
    }
  }

  #next(): Waiter | undefined {
    let next = this.#waiting[0];
    for (const waiter of this.#waiting) if (next && waiter.share.taken < next.share.taken) next = waiter;
    if (next !== undefined) this.#waiting.splice(this.#waiting.indexOf(next), 1);
    return next;
  }
}

/** What one pool may have of the room: its own bound, within everybody's. */
export class RoomShare implements ConnectionBound {
  readonly #room: Room;
  readonly #own: Capacity;
  /** Connections that it has of the room. */
  taken = 0;
  /** Connections that it waits for. */
  waiting = 0;

  constructor(room: Room, ownBound: number) {
    this.#room = room;
    this.#own = new Capacity(ownBound);
  }

  tryTake(): boolean {
    if (!this.#own.tryTake()) return false;
    if (this.#room.tryTake()) {
      this.taken += 1;
      return true;
    }
    this.#own.give();
    return false;
  }

  async take(): Promise<void> {
    await this.#own.take();
    this.waiting += 1;
    try {
      await this.#room.take(this);
      this.taken += 1;
    } catch (error) {
      this.#own.give();
      throw error;
    } finally {
      this.waiting -= 1;
    }
  }

  give(): void {
    this.taken -= 1;
    this.#own.give();
    this.#room.give();
  }

  close(): void {
    this.#own.close();
    this.#room.turnAway(this);
  }

  empty(): Promise<void> {
    return this.#own.empty();
  }
}

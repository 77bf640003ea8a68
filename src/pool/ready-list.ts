import type { PooledConnection } from './pooled-connection.js';

/**
 * The idle connections of a pool that can be handed out, last in, first out. They are linked to each other: an array reserves
 * 0.2 KiB for its first element, and any connection may be taken out.
 */
export class ReadyList implements Iterable<PooledConnection> {
  /** The next one to be handed out. */
  top: PooledConnection | undefined;

  get isEmpty(): boolean {
    return this.top === undefined;
  }

  push(pooled: PooledConnection): void {
    const { top } = this;
    if (top !== undefined) {
      pooled.below = top;
      top.above = pooled;
    }
    this.top = pooled;
  }

  pop(): PooledConnection | undefined {
    const { top } = this;
    if (top === undefined) return undefined;
    const { below } = top;
    this.top = below;
    if (below !== undefined) {
      below.above = undefined;
      top.below = undefined;
    }
    return top;
  }

  has(pooled: PooledConnection): boolean {
    return this.top === pooled || pooled.above !== undefined;
  }

  /** Removes a connection, if it is in the list. */
  remove(pooled: PooledConnection): void {
    const { above, below } = pooled;
    if (above !== undefined) above.below = below;
    else if (this.top === pooled) this.top = below;
    if (below !== undefined) below.above = above;
    pooled.above = undefined;
    pooled.below = undefined;
  }

  /** Inserts a connection in the order of the latest use: below those that were used after it. */
  insert(pooled: PooledConnection): void {
    let above: PooledConnection | undefined;
    let below = this.top;
    while (below !== undefined && below.lastUsedAt > pooled.lastUsedAt) {
      above = below;
      below = below.below;
    }
    link(this, above, pooled);
    if (below !== undefined) link(this, pooled, below);
  }

  /** A successor takes the position of the connection that it replaces. */
  replace(old: PooledConnection, successor: PooledConnection): void {
    const { above, below } = old;
    this.remove(old);
    link(this, above, successor);
    if (below !== undefined) link(this, successor, below);
  }

  /** Starts with the latest. The list must not change during the iteration. */
  *[Symbol.iterator](): Iterator<PooledConnection> {
    for (let pooled = this.top; pooled !== undefined; pooled = pooled.below) yield pooled;
  }
}

function link(list: ReadyList, above: PooledConnection | undefined, below: PooledConnection): void {
  below.above = above;
  if (above === undefined) list.top = below;
  else above.below = below;
}

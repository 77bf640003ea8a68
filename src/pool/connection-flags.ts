/**
 * The boolean properties of a pooled connection, each one bit of a number: a field takes eight bytes, and a pool may have thousands
 * of connections.
 */
export class ConnectionFlags {
  /** Idle, but not to be handed out now: it is being checked, stands by, or waits for its successor. */
  declare reserved: boolean;
  /** `validateConnection: true` or `pool.validate` asks whether it works, for a caller. */
  declare isTested: boolean;
  /** It became due for renewal while it was borrowed. */
  declare dueOnReturn: boolean;
  /** It was due when it was returned, but no successor could be opened, or its successor went to another connection. */
  declare missedRenewal: boolean;
  /** Handed over to a waiting caller that has not run yet. */
  declare inTransit: boolean;
  /** Its socket keeps the process alive. */
  declare holdsProcess: boolean;
  /** It is past its limits, and a caller waits for its successor, which is being opened. */
  declare awaitsSuccessor: boolean;
  /** It has a permit of the shared limit. */
  declare hasPermit: boolean;
  /** Its socket is closed. */
  declare isGone: boolean;
  /** It was closed under its borrower, which has not returned it yet. */
  declare isOwed: boolean;
  #bits = 0;

  static {
    const names = [
      'reserved',
      'isTested',
      'dueOnReturn',
      'missedRenewal',
      'inTransit',
      'holdsProcess',
      'awaitsSuccessor',
      'hasPermit',
      'isGone',
      'isOwed',
    ] as const satisfies (keyof ConnectionFlags)[];
    for (const [position, name] of names.entries()) {
      const bit = 1 << position;
      Object.defineProperty(ConnectionFlags.prototype, name, {
        get(this: ConnectionFlags): boolean {
          return (this.#bits & bit) !== 0;
        },
        set(this: ConnectionFlags, on: boolean) {
          this.#bits = on ? this.#bits | bit : this.#bits & ~bit;
        },
      });
    }
  }
}

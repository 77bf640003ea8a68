import { setMaxListeners } from 'node:events';
import type { Session } from '../connections/session.js';

/** Aborts a dial of an earlier generation; never reaches a caller. */
class Overtaken extends Error {}

/**
 * Generations of a pool's connections: a new one begins when all connections must be replaced. A dial belongs to the
 * generation in which it logs in. One that is in progress when the next generation begins starts over, so that nothing
 * obtained with the old credential is used (the race of HikariCP #1836).
 */
export class Generations {
  #generation = 0;
  /** Aborts the dials of this generation. */
  #overtaken = sharedByDials();
  #mark: (session: Session) => void = () => {};

  /**
   * Runs a dial. `mark` of {@link next} is called for a session that was overtaken after its login.
   *
   * @param opened gets the session at once, because a session that is still on its way to its owner could not be marked
   */
  async dial(open: (signal: AbortSignal) => Promise<Session>, opened: (session: Session) => void): Promise<void> {
    for (;;) {
      const generation = this.#generation;
      const { signal } = this.#overtaken;
      try {
        const session = await open(signal);
        if (generation !== this.#generation) this.#mark(session);
        opened(session);
        return;
      } catch (error) {
        // A failure in an earlier generation says nothing about this one.
        if (generation === this.#generation) throw error;
      }
    }
  }

  /** Begins the next generation. */
  next(mark: (session: Session) => void): void {
    this.#generation += 1;
    this.#mark = mark;
    const overtaken = this.#overtaken;
    this.#overtaken = sharedByDials();
    overtaken.abort(new Overtaken('All connections of the pool are being replaced.'));
  }
}

/**
 * Each dial in progress listens to it, and there may be as many as the pool's `max`: more than ten listeners are not a
 * leak.
 */
function sharedByDials(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

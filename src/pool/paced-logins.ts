import type { Dialer, OpenOptions } from '../connections/dialer.js';
import type { Session } from '../connections/session.js';
import { Generations } from './generations.js';
import { LoginPacing, type Turn } from './login-pacing.js';

/** The error of a dial that is no longer needed when its turn comes. */
export const notNeeded = new Error('No caller needs this connection any longer.');

/**
 * The logins of one pool: each waits for its turn, and starts over when a new generation begins. It exists only while there are
 * logins, because most of the time a pool opens nothing.
 */
export class PacedLogins {
  /** Logins in progress. */
  running = 0;
  /** Includes those that wait for their turn. */
  #count = 0;
  readonly #dialer: Dialer;
  readonly #own: LoginPacing | undefined;
  readonly #shared: LoginPacing | undefined;
  readonly #generations = new Generations();

  /**
   * @param maxOpening 0 for no limit
   * @param shared the pacing of many pools together
   */
  constructor(dialer: Dialer, maxOpening: number, shared?: LoginPacing) {
    this.#dialer = dialer;
    this.#own = maxOpening === 0 ? undefined : new LoginPacing(maxOpening);
    this.#shared = shared;
  }

  /**
   * @param begins called when its turn comes; returns whether the login is still needed
   * @param opened gets the session, as {@link Generations.dial}
   * @throws `notNeeded` if `begins` returns false; the error of a failed dial
   */
  async run(begins: () => boolean, opened: (session: Session) => void): Promise<void> {
    // Between two attempts, nothing is in progress, and the pools of other identities go on.
    const logIn = async (turn?: Turn): Promise<void> => {
      if (!begins()) throw notNeeded;
      this.running += 1;
      try {
        await this.#generations.dial((signal) => this.#dialer.open({ signal, ...this.#pacing(turn) }), opened);
      } finally {
        this.running -= 1;
      }
    };
    const inTurn = (): Promise<void> => (this.#shared === undefined ? logIn() : this.#shared.run(logIn));
    this.#count += 1;
    try {
      await (this.#own === undefined ? inTurn() : this.#own.run(inTurn));
    } finally {
      this.#count -= 1;
    }
  }

  /** A pause gives up the turn, and each attempt needs one: a new generation begins an attempt in the middle of a pause. */
  #pacing(turn: Turn | undefined): Pick<OpenOptions, 'pauseAround' | 'beforeAttempt'> {
    const pauseAround = async <T>(pause: () => Promise<T>): Promise<T> => {
      turn?.giveUp();
      this.running -= 1;
      try {
        return await pause();
      } finally {
        this.running += 1;
      }
    };
    const beforeAttempt = (signal: AbortSignal): Promise<void> | undefined =>
      turn === undefined || turn.isHeld ? undefined : pauseAround(() => turn.take(signal));
    return { pauseAround, beforeAttempt };
  }

  get isOver(): boolean {
    return this.#count === 0;
  }

  /** Restarts the logins in progress; `mark` is called for a session that has just been opened. */
  beginAgain(mark: (session: Session) => void): void {
    this.#generations.next(mark);
  }
}

import { onAbort } from '../time.js';

/** Permission for one login. */
export interface Turn {
  readonly isHeld: boolean;
  /** Gives it to the next login, if it is held. */
  giveUp(): void;
  /** Waits for another one, if it is not held. @throws the reason of `signal` */
  take(signal: AbortSignal): Promise<void>;
}

/**
 * Limits concurrent logins (`maxOpening`), first come, first served. A cold start with hundreds of callers then stays below
 * the server's own limit.
 */
export class LoginPacing {
  readonly #max: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /** @param max 0 for no limit */
  constructor(max: number) {
    this.#max = max === 0 ? Number.POSITIVE_INFINITY : max;
  }

  /**
   * Rejects with what `login` rejects with.
   *
   * @param login may give up its turn while it pauses between two attempts
   */
  async run<T>(login: (turn: Turn) => Promise<T>): Promise<T> {
    if (!this.#tryTake()) await this.#take();
    let isHeld = true;
    const giveUp = (): void => {
      if (isHeld) this.#give();
      isHeld = false;
    };
    const take = async (signal: AbortSignal): Promise<void> => {
      if (!isHeld && !this.#tryTake()) await this.#take(signal);
      isHeld = true;
    };
    const turn: Turn = {
      get isHeld() {
        return isHeld;
      },
      giveUp,
      take,
    };
    try {
      return await login(turn);
    } finally {
      giveUp();
    }
  }

  #tryTake(): boolean {
    if (this.#running >= this.#max) return false;
    this.#running += 1;
    return true;
  }

  /** @throws the reason of `signal` */
  #take(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const stopListening =
        signal &&
        onAbort(signal, () => {
          this.#waiting.splice(this.#waiting.indexOf(wake), 1);
          reject(signal.reason);
        });
      const wake = (): void => {
        stopListening?.();
        resolve();
      };
      this.#waiting.push(wake);
    });
  }

  /** The next one in turn takes over the permit of the one that ends. */
  #give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }
}

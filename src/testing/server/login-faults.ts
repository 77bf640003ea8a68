import { type SqlErrorInfo, SqlServerError } from '../tds/server-error.js';

/** How the next logins go wrong. */
export interface LoginFault extends Partial<SqlErrorInfo> {
  /**
   * Close the connection without a word instead of sending an error: before LOGIN7 is read, after it, or after the token
   * of the FEDAUTH message. `true` is `after-login7`.
   */
  drop?: boolean | 'before-login7' | 'after-login7' | 'after-fedauth' | undefined;
  /** How many logins. Default: every one until the fault is lifted. */
  count?: number | undefined;
}

/** A fault that is in force until it has been used up or is lifted. */
export interface ActiveLoginFault {
  /** Logins it has hit so far. */
  readonly hits: number;
  /** Ends it. */
  lift(): void;
}

/** What befalls one login at one stage of it. */
export type LoginStage = 'before-login7' | 'after-login7' | 'after-fedauth' | 'verdict';

/** The faults in force, oldest first. */
export class LoginFaults {
  #active: { fault: LoginFault; stage: LoginStage; left: number; hits: number }[] = [];

  add(fault: LoginFault): ActiveLoginFault {
    const stage = stageOf(fault);
    if (stage === 'verdict' && fault.number === undefined) {
      throw new TypeError('failLogins needs `number` (a SQL Server error) or `drop`');
    }
    const entry = { fault, stage, left: fault.count ?? Number.POSITIVE_INFINITY, hits: 0 };
    this.#active.push(entry);
    return {
      get hits() {
        return entry.hits;
      },
      lift: () => {
        this.#active = this.#active.filter((each) => each !== entry);
      },
    };
  }

  clear(): void {
    this.#active = [];
  }

  /** The error to send, `drop`, or undefined if this stage goes well. */
  take(stage: LoginStage): SqlServerError | 'drop' | undefined {
    const entry = this.#active[0];
    if (entry === undefined || entry.stage !== stage) return undefined;
    entry.hits += 1;
    entry.left -= 1;
    if (entry.left <= 0) this.#active.shift();
    if (stage !== 'verdict') return 'drop';
    return new SqlServerError({ ...entry.fault, number: entry.fault.number as number });
  }
}

function stageOf({ drop }: LoginFault): LoginStage {
  if (drop === undefined || drop === false) return 'verdict';
  return drop === true ? 'after-login7' : drop;
}

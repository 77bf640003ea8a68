import { type OptionNames, requireKnownOptions } from '../known-options.js';
import { type SqlErrorInfo, SqlServerError } from '../tds/server-error.js';

/** How the next logins fail. */
export interface LoginFault extends Partial<SqlErrorInfo> {
  /**
   * Close the connection instead of sending an error: before LOGIN7 is read, after it, or after the FEDAUTH token message.
   * `true` is `after-login7`.
   */
  drop?: boolean | 'before-login7' | 'after-login7' | 'after-fedauth' | undefined;
  /** How many logins fail. Default: all until the fault is removed. */
  count?: number | undefined;
}

const OPTIONS: OptionNames<LoginFault> = {
  number: true,
  state: true,
  class: true,
  message: true,
  procName: true,
  lineNumber: true,
  drop: true,
  count: true,
};

/** A fault that is active until its count is used up or it is removed. */
export interface ActiveLoginFault {
  /** Number of logins affected so far. */
  readonly hits: number;
  /** Removes the fault. */
  lift(): void;
}

/** The effect of a fault on one stage of a login. */
export type LoginStage = 'before-login7' | 'after-login7' | 'after-fedauth' | 'verdict';

/** The active faults, oldest first. */
export class LoginFaults {
  #active: { fault: LoginFault; stage: LoginStage; left: number; hits: number }[] = [];

  add(fault: LoginFault): ActiveLoginFault {
    requireKnownOptions('failLogins', fault, OPTIONS);
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

  /** The error to send, `drop`, or undefined if no fault applies to this stage. */
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

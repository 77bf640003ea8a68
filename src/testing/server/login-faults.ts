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
    requireValid(fault);
    const entry = { fault: { ...fault }, stage, left: fault.count ?? Number.POSITIVE_INFINITY, hits: 0 };
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

const STAGES: readonly unknown[] = [undefined, true, false, 'before-login7', 'after-login7', 'after-fedauth'];
const INT32 = 2 ** 31 - 1;

/** A fault that cannot be sent as it stands would make a test pass for the wrong reason. */
function requireValid(fault: LoginFault): void {
  if (!STAGES.includes(fault.drop)) {
    throw new TypeError("failLogins: drop must be true, 'before-login7', 'after-login7' or 'after-fedauth'");
  }
  // [MS-TDS] 2.2.7.10: the sizes of the fields.
  requireWhole('number', fault.number, -INT32, INT32);
  requireWhole('state', fault.state, 0, 255);
  requireWhole('class', fault.class, 11, 25);
  requireWhole('lineNumber', fault.lineNumber, 0, INT32);
  requireWhole('count', fault.count, 1, Number.MAX_SAFE_INTEGER);
  for (const name of ['message', 'procName'] as const) {
    if (fault[name] !== undefined && typeof fault[name] !== 'string') {
      throw new TypeError(`failLogins: ${name} must be a string`);
    }
  }
}

function requireWhole(name: string, value: unknown, least: number, most: number): void {
  if (value === undefined || (Number.isInteger(value) && (value as number) >= least && (value as number) <= most))
    return;
  throw new RangeError(`failLogins: ${name} must be a whole number from ${least} to ${most}`);
}

function stageOf({ drop }: LoginFault): LoginStage {
  if (drop === undefined || drop === false) return 'verdict';
  return drop === true ? 'after-login7' : drop;
}

import type { Scalar, SqlType } from '../tds/data-type.js';

/** An expression whose type is known; `get` computes its value of the moment. */
export interface Bound {
  type: SqlType;
  get: () => Scalar;
}

/** What an expression can refer to. */
export interface Scope {
  variable(name: string): Bound | undefined;
  column(name: string): Bound | undefined;
  /** `@@SPID` and its like, by upper-case name. */
  global(name: string): Bound | undefined;
  /** What `DB_NAME()`, `SUSER_SNAME()` and their like say, by upper-case name. */
  fact(name: string): string | undefined;
  /** What `SERVERPROPERTY(name)` says. */
  property(name: string): string | null;
  transactionDepth(): number;
}

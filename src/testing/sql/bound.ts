import type { Scalar, SqlType, SqlValue } from '../tds/data-type.js';

/** An expression whose type is known; `get` computes its current value. */
export interface Bound {
  type: SqlType;
  get: () => Scalar;
}

/** What an expression can refer to. */
export interface Scope {
  variable(name: string): Bound | undefined;
  column(name: string): Bound | undefined;
  /** The result of COUNT(*). */
  count(): number;
  /** `@@SPID` and other globals, by upper-case name. */
  global(name: string): Bound | undefined;
  /** `DB_NAME()`, `SUSER_SNAME()` and similar functions, by upper-case name. */
  fact(name: string): string | undefined;
  /** `SERVERPROPERTY(name)`. */
  property(name: string): string | number | null;
  /** `OBJECT_ID(name)`, for temporary tables and the system views. */
  objectId(name: string): number | null;
  /** `DB_ID(name)`. */
  databaseId(name: string | null): number | null;
  /** `SESSION_CONTEXT(key)`. */
  contextOf(key: string): SqlValue | undefined;
  /** `SESSIONPROPERTY(name)`: 1, 0, or null for an option that has no property. */
  sessionProperty(name: string): number | null;
  /** `DATABASEPROPERTYEX(name, property)`. */
  databaseProperty(database: string, name: string): string | null;
  contextInfo(): Buffer | null;
  transactionDepth(): number;
  /** The server's clock, epoch ms. */
  now(): number;
}

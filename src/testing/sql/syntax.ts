import type { SqlType } from '../tds/data-type.js';

/** What the parser makes of T-SQL, and the interpreter runs. */

export type Expression =
  | { kind: 'literal'; type: SqlType; value: null | number | bigint | string | Buffer }
  | { kind: 'variable'; name: string }
  | { kind: 'global'; name: string }
  | { kind: 'column'; name: string }
  | { kind: 'call'; name: string; args: Expression[] }
  | { kind: 'cast'; operand: Expression; type: SqlType; orNull: boolean }
  | { kind: 'negate'; operand: Expression }
  | { kind: 'binary'; operator: '+' | '-' | '*' | '/' | '%'; left: Expression; right: Expression }
  | { kind: 'case'; branches: { when: Condition; result: Expression }[]; otherwise: Expression | undefined };

export type Condition =
  | { kind: 'compare'; operator: '=' | '<>' | '<' | '<=' | '>' | '>='; left: Expression; right: Expression }
  | { kind: 'isNull'; operand: Expression; negated: boolean }
  | { kind: 'and' | 'or'; left: Condition; right: Condition }
  | { kind: 'not'; operand: Condition };

export interface SelectItem {
  /** A name for the column, or the variable that takes the value. */
  alias?: string | undefined;
  assign?: string | undefined;
  /** `*` */
  star?: boolean | undefined;
  expression: Expression;
}

/** `GENERATE_SERIES(start, stop [, step])`, the only table there is. */
export interface Series {
  start: Expression;
  stop: Expression;
  step: Expression | undefined;
}

export interface SelectStatement {
  kind: 'select';
  line: number;
  top: Expression | undefined;
  items: SelectItem[];
  from: Series | undefined;
  where: Condition | undefined;
}

export type Statement = { line: number } & (
  | SelectStatement
  | { kind: 'declare'; variables: { name: string; type: SqlType; value: Expression | undefined }[] }
  | { kind: 'assign'; name: string; value: Expression }
  | { kind: 'setOption'; option: string; value: string }
  | { kind: 'use'; database: string }
  | { kind: 'begin' | 'commit'; name: string }
  | { kind: 'rollback'; name: string }
  | { kind: 'save'; name: string }
  | { kind: 'waitfor'; delay: Expression }
  | { kind: 'raiserror'; message: Expression; severity: Expression; state: Expression; args: Expression[] }
  | { kind: 'throw'; number: Expression; message: Expression; state: Expression }
  | { kind: 'print'; message: Expression }
  | { kind: 'if'; condition: Condition; body: Statement[]; otherwise: Statement[] }
);

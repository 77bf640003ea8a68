import type { SqlType } from '../tds/data-type.js';

/** The syntax tree: the output of the parser and input of the interpreter. */

export type Expression =
  | { kind: 'literal'; type: SqlType; value: null | number | bigint | string | Buffer }
  | { kind: 'variable'; name: string }
  | { kind: 'global'; name: string }
  | { kind: 'column'; name: string }
  | { kind: 'call'; name: string; args: Expression[] }
  /** `COUNT(*)` as a whole item of the select list. */
  | { kind: 'count' }
  | { kind: 'cast'; operand: Expression; type: SqlType; orNull: boolean; style?: number | undefined }
  | { kind: 'negate'; operand: Expression }
  | { kind: 'binary'; operator: '+' | '-' | '*' | '/' | '%'; left: Expression; right: Expression }
  | { kind: 'case'; branches: { when: Condition; result: Expression }[]; otherwise: Expression | undefined };

export type Condition =
  | { kind: 'compare'; operator: '=' | '<>' | '<' | '<=' | '>' | '>='; left: Expression; right: Expression }
  | { kind: 'isNull'; operand: Expression; negated: boolean }
  | { kind: 'in'; operand: Expression; list: Expression[] }
  | { kind: 'like'; operand: Expression; pattern: Expression }
  | { kind: 'and' | 'or'; left: Condition; right: Condition }
  | { kind: 'not'; operand: Condition };

export interface SelectItem {
  /** The column alias, or the variable that is assigned. */
  alias?: string | undefined;
  assign?: string | undefined;
  /** `*` */
  star?: boolean | undefined;
  expression: Expression;
}

/** `GENERATE_SERIES(start, stop [, step])`; its column is `value`. */
export interface Series {
  kind: 'series';
  start: Expression;
  stop: Expression;
  step: Expression | undefined;
}

/** A system view, by name in lower case. */
export interface View {
  kind: 'view';
  name: string;
}

export interface SelectStatement {
  kind: 'select';
  line: number;
  top: Expression | undefined;
  items: SelectItem[];
  from: Series | View | undefined;
  where: Condition | undefined;
  orderBy: { by: Expression; descending: boolean }[];
}

export type Statement = { line: number } & (
  | SelectStatement
  | { kind: 'declare'; variables: { name: string; type: SqlType; value: Expression | undefined }[] }
  | { kind: 'assign'; name: string; value: Expression }
  | { kind: 'setOption'; option: string; value: string }
  | { kind: 'setContextInfo'; value: Expression }
  | { kind: 'setSessionContext'; key: Expression; value: Expression; readOnly: Expression | undefined }
  | { kind: 'executeAs'; name: Expression }
  | { kind: 'revert' }
  | { kind: 'createTemporary'; name: string }
  | { kind: 'dropTemporary'; names: string[]; ifExists: boolean }
  | { kind: 'use'; database: string }
  | { kind: 'begin' | 'commit'; name: string }
  | { kind: 'rollback'; name: string }
  | { kind: 'save'; name: string }
  | { kind: 'waitfor'; delay: Expression }
  | {
      kind: 'raiserror';
      message: Expression;
      severity: Expression;
      state: Expression;
      args: Expression[];
      log: boolean;
    }
  | { kind: 'throw'; number: Expression; message: Expression; state: Expression }
  | { kind: 'print'; message: Expression }
  | { kind: 'if'; condition: Condition; body: Statement[]; otherwise: Statement[] }
);

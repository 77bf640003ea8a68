import { FLOAT, INT, MAX, parseDecimal, rescale, type SqlType, typeNamed, UNTYPED } from '../tds/data-type.js';
import { SqlServerError } from '../tds/server-error.js';
import { STYLES } from './date-text.js';
import { GLOBALS } from './facts.js';
import { isFunction } from './functions.js';
import { type Token, tokenize } from './lexer.js';
import type { Condition, Expression, SelectItem, SelectStatement, Series, Statement, View } from './syntax.js';
import { SYSTEM_VIEWS } from './system-views.js';

/**
 * Parses a batch. Throws the error that SQL Server would report for an invalid batch: 102 (syntax), 208 (no such table),
 * 2812 (no such procedure). docs/testing-sql-emulator.md lists the supported SQL.
 */
export function parseBatch(sql: string): Statement[] {
  return new Parser(tokenize(sql)).batch();
}

/** Parses the parameter list of sp_executesql and sp_prepare: `@a int, @b nvarchar(10) OUTPUT`. */
export function parseParameterList(text: string): { name: string; type: SqlType }[] {
  return new Parser(tokenize(text)).parameterList();
}

const ISOLATION = /^(READ (UN)?COMMITTED|REPEATABLE READ|SERIALIZABLE|SNAPSHOT)$/;
/** Words that cannot be a column alias without AS. */
const RESERVED = new Set([
  ...['FROM', 'WHERE', 'SELECT', 'SET', 'USE', 'BEGIN', 'COMMIT', 'ROLLBACK', 'SAVE', 'WAITFOR', 'RAISERROR', 'THROW'],
  ...['PRINT', 'IF', 'ELSE', 'END', 'DECLARE', 'AS', 'AND', 'OR', 'NOT', 'IS', 'NULL', 'THEN', 'WHEN', 'CASE', 'ORDER'],
  ...[
    'INSERT',
    'UPDATE',
    'DELETE',
    'EXEC',
    'EXECUTE',
    'CREATE',
    'DROP',
    'ALTER',
    'INTO',
    'UNION',
    'GROUP',
    'OPTION',
    'FOR',
    'REVERT',
    'IN',
    'LIKE',
    'WITH',
  ],
]);

const DEEPEST_NESTING = 100;
const LONGEST_CHAIN = 1000;
/** The precision of a number. */
const MOST_DIGITS = 38;
/** 38 digits, a decimal point and some leading zeros. */
const LONGEST_NUMBER = 100;

interface NamedColumn {
  name: string;
  qualifier: string | undefined;
  line: number;
}

/** A statement without its line number. */
type Unplaced<K extends Statement['kind']> = Omit<Extract<Statement, { kind: K }>, 'line'>;

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;
  /** Columns referenced so far in the current SELECT; they can be resolved only after FROM. */
  #columns: NamedColumn[] | undefined;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  batch(): Statement[] {
    const statements: Statement[] = [];
    for (;;) {
      while (this.#accept(';'));
      if (this.#peek().kind === 'end') return statements;
      statements.push(this.#statement());
    }
  }

  parameterList(): { name: string; type: SqlType }[] {
    const list: { name: string; type: SqlType }[] = [];
    if (this.#peek().kind === 'end') return list;
    do {
      const name = this.#expect('variable').text;
      this.#acceptWord('AS');
      list.push({ name, type: this.#type() });
      if (this.#accept('=')) this.#expression();
      if (!this.#acceptWord('OUTPUT')) this.#acceptWord('OUT');
      this.#acceptWord('READONLY');
    } while (this.#accept(','));
    if (this.#peek().kind !== 'end') throw this.#syntaxError();
    return list;
  }

  #statement(): Statement {
    return this.#nested(() => this.#anyStatement());
  }

  /** Limits the nesting depth to what the process's stack can hold. */
  #nested<T>(read: () => T): T {
    this.#depth += 1;
    if (this.#depth > DEEPEST_NESTING) throw nestedTooDeeply(this.#peek().line);
    const result = read();
    this.#depth -= 1;
    return result;
  }

  #anyStatement(): Statement {
    const { line } = this.#peek();
    const token = this.#next();
    if (token.kind !== 'word') throw this.#syntaxError(token);
    switch (token.text) {
      case 'SELECT':
        return { line, ...this.#select() };
      case 'DECLARE':
        return { line, ...this.#declare() };
      case 'SET':
        return { line, ...this.#set() };
      case 'USE':
        return { line, kind: 'use', database: this.#name() };
      case 'BEGIN':
        this.#transactionWord();
        return { line, kind: 'begin', name: this.#optionalName() };
      case 'COMMIT':
        if (!this.#acceptWord('WORK') && this.#isTransactionWord()) this.#next();
        return { line, kind: 'commit', name: this.#optionalName() };
      case 'ROLLBACK':
        if (!this.#acceptWord('WORK') && this.#isTransactionWord()) this.#next();
        return { line, kind: 'rollback', name: this.#optionalName() };
      case 'SAVE':
        this.#transactionWord();
        return { line, kind: 'save', name: this.#name() };
      case 'WAITFOR':
        this.#expectWord('DELAY');
        return { line, kind: 'waitfor', delay: this.#expression() };
      case 'RAISERROR':
        return { line, ...this.#raiserror() };
      case 'THROW':
        return { line, ...this.#throw() };
      case 'PRINT':
        return { line, kind: 'print', message: this.#expression() };
      case 'IF':
        return { line, ...this.#if() };
      case 'EXEC':
      case 'EXECUTE':
        return { line, ...this.#execute(token) };
      case 'REVERT':
        return { line, kind: 'revert' };
      case 'CREATE':
        return { line, ...this.#createTable(token) };
      case 'DROP':
        return { line, ...this.#dropTable(token) };
      default:
        throw this.#notOurs(token);
    }
  }

  #select(): Omit<SelectStatement, 'line'> {
    let top: Expression | undefined;
    if (this.#peek().kind === 'word' && this.#peek().text === 'DISTINCT') throw this.#syntaxError(this.#peek(), true);
    if (this.#acceptWord('TOP')) top = this.#accept('(') ? this.#closing(this.#expression()) : this.#primary();
    const outer = this.#columns;
    this.#columns = [];
    const items = [this.#selectItem()];
    while (this.#accept(',')) items.push(this.#selectItem());
    const { from, alias } = this.#acceptWord('FROM') ? this.#from() : { from: undefined, alias: undefined };
    const where = this.#acceptWord('WHERE') ? this.#condition() : undefined;
    const orderBy = from?.kind === 'view' && this.#acceptWord('ORDER') ? this.#orderBy() : [];
    if (from === undefined && items.some(({ star }) => star === true)) throw mustHaveTable(this.#peek().line);
    for (const column of this.#columns) checkColumn(column, from, alias);
    this.#columns = outer;
    return { kind: 'select', top, items, from, where, orderBy };
  }

  #orderBy(): { by: Expression; descending: boolean }[] {
    this.#expectWord('BY');
    const list: { by: Expression; descending: boolean }[] = [];
    do {
      const by = this.#expression();
      const descending = this.#acceptWord('DESC');
      if (!descending) this.#acceptWord('ASC');
      list.push({ by, descending });
    } while (this.#accept(','));
    return list;
  }

  #selectItem(): SelectItem {
    const first = this.#peek();
    const second = this.#peek(1);
    if (first.text === '*' && first.kind === 'symbol') {
      this.#next();
      return { star: true, expression: { kind: 'column', name: '*' } };
    }
    if (first.kind === 'variable' && second.text === '=' && second.kind === 'symbol') {
      this.#at += 2;
      return { assign: first.text, expression: this.#expression() };
    }
    if ((first.kind === 'word' || first.kind === 'quoted') && second.text === '=' && second.kind === 'symbol') {
      this.#at += 2;
      return { alias: this.#asWritten(first), expression: this.#expression() };
    }
    const expression = this.#count() ?? this.#expression();
    const alias = this.#alias();
    return alias === undefined ? { expression } : { expression, alias };
  }

  /** `COUNT(*)`, or `COUNT_BIG(*)`. */
  #count(): Expression | undefined {
    const texts = [0, 1, 2, 3].map((ahead) => this.#peek(ahead).text);
    if (!/^COUNT(_BIG)?$/.test(texts[0] as string) || texts.slice(1).join('') !== '(*)') return undefined;
    this.#at += 4;
    return { kind: 'count' };
  }

  #alias(): string | undefined {
    const token = this.#peek();
    if (token.kind === 'word' && token.text === 'AS') {
      this.#next();
      const name = this.#next();
      if (name.kind !== 'word' && name.kind !== 'quoted' && name.kind !== 'string') throw this.#syntaxError(name);
      return this.#asWritten(name);
    }
    if (token.kind === 'quoted' || token.kind === 'string' || (token.kind === 'word' && !RESERVED.has(token.text))) {
      return this.#asWritten(this.#next());
    }
    return undefined;
  }

  /** `GENERATE_SERIES(...)` or a system view; no other table exists. */
  #from(): { from: Series | View; alias: string | undefined } {
    const token = this.#next();
    if (token.kind !== 'word' && token.kind !== 'quoted') throw this.#syntaxError(token);
    if (this.#peek().text === '.') {
      const name = this.#objectName(token);
      const view = name.toLowerCase().split('.').slice(-2).join('.');
      if (!SYSTEM_VIEWS.has(view)) throw noSuchObject(name, token.line);
      const alias = this.#alias();
      if (this.#acceptWord('WITH')) this.#tableHint();
      return { from: { kind: 'view', name: view }, alias: alias ?? view.split('.')[1] };
    }
    if (token.text.toUpperCase() !== 'GENERATE_SERIES' || !this.#accept('(')) {
      throw noSuchObject(this.#objectName(token), token.line);
    }
    const start = this.#expression();
    this.#expectSymbol(',');
    const stop = this.#expression();
    const step = this.#accept(',') ? this.#expression() : undefined;
    this.#expectSymbol(')');
    const alias = this.#alias();
    return { from: { kind: 'series', start, stop, step }, alias };
  }

  #tableHint(): void {
    this.#expectSymbol('(');
    do this.#expect('word');
    while (this.#accept(','));
    this.#expectSymbol(')');
  }

  /** `EXECUTE AS USER | LOGIN = 'name'` and sp_set_session_context; no other procedure exists. */
  #execute(token: Token): Unplaced<'executeAs'> | Unplaced<'setSessionContext'> {
    if (this.#acceptWord('AS')) {
      if (!this.#acceptWord('USER')) this.#expectWord('LOGIN');
      this.#expectSymbol('=');
      const name = this.#expression();
      if (this.#acceptWord('WITH')) {
        this.#expectWord('NO');
        this.#expectWord('REVERT');
      }
      return { kind: 'executeAs', name };
    }
    const procedure = this.#next();
    // EXEC('...') and EXEC @procedure.
    if (procedure.kind !== 'word' && procedure.kind !== 'quoted') throw this.#syntaxError(procedure);
    const name = this.#objectName(procedure);
    if (!/^(sys\.)?sp_set_session_context$/i.test(name)) throw noSuchProcedure(name, token.line);
    const given = new Map<string, Expression>();
    do {
      const first = this.#peek();
      const named = first.kind === 'variable' && this.#peek(1).text === '=';
      if (named) this.#at += 2;
      const parameter = named ? first.text.toLowerCase() : (['@key', '@value', '@read_only'][given.size] ?? '');
      given.set(parameter, this.#expression());
    } while (this.#accept(','));
    const [key, value] = [given.get('@key'), given.get('@value')];
    if (key === undefined || value === undefined) throw missingParameter(name, key === undefined ? '@key' : '@value');
    return { kind: 'setSessionContext', key, value, readOnly: given.get('@read_only') };
  }

  /** `CREATE TABLE #name (...)`: the emulator records only that the table exists. */
  #createTable(token: Token): Unplaced<'createTemporary'> {
    if (!this.#acceptWord('TABLE')) throw this.#syntaxError(token);
    const name = this.#asWritten(this.#next());
    if (!name.startsWith('#')) throw this.#syntaxError(token);
    this.#expectSymbol('(');
    for (let depth = 1; depth > 0; ) {
      const next = this.#next();
      if (next.kind === 'end') throw this.#syntaxError(next);
      if (next.kind === 'symbol' && next.text === '(') depth += 1;
      if (next.kind === 'symbol' && next.text === ')') depth -= 1;
    }
    return { kind: 'createTemporary', name };
  }

  #dropTable(token: Token): Unplaced<'dropTemporary'> {
    if (!this.#acceptWord('TABLE')) throw this.#syntaxError(token);
    const ifExists = this.#acceptWord('IF');
    if (ifExists) this.#expectWord('EXISTS');
    const names: string[] = [];
    do {
      const name = this.#objectName(this.#next()).split('.').at(-1) as string;
      if (!name.startsWith('#')) throw this.#syntaxError(token);
      names.push(name);
    } while (this.#accept(','));
    return { kind: 'dropTemporary', names, ifExists };
  }

  #declare(): { kind: 'declare'; variables: { name: string; type: SqlType; value: Expression | undefined }[] } {
    const variables = [];
    do {
      const name = this.#expect('variable').text;
      this.#acceptWord('AS');
      const type = this.#type();
      variables.push({ name, type, value: this.#accept('=') ? this.#expression() : undefined });
    } while (this.#accept(','));
    return { kind: 'declare', variables };
  }

  #set(): Unplaced<'assign'> | Unplaced<'setOption'> | Unplaced<'setContextInfo'> {
    const token = this.#next();
    if (token.kind === 'variable') {
      this.#expectSymbol('=');
      return { kind: 'assign', name: token.text, value: this.#expression() };
    }
    if (token.kind !== 'word') throw this.#syntaxError(token);
    if (token.text === 'TRANSACTION') {
      this.#expectWord('ISOLATION');
      this.#expectWord('LEVEL');
      let level = this.#expect('word').text;
      if (level === 'READ' || level === 'REPEATABLE') level += ` ${this.#expect('word').text}`;
      if (!ISOLATION.test(level)) throw this.#syntaxError(this.#tokens[this.#at - 1]);
      return { kind: 'setOption', option: 'TRANSACTION ISOLATION LEVEL', value: level };
    }
    if (token.text === 'CONTEXT_INFO') return { kind: 'setContextInfo', value: this.#expression() };
    const options = [token.text];
    while (this.#accept(',')) options.push(this.#expect('word').text);
    if (options[0] === 'STATISTICS') this.#expect('word');
    const minus = this.#accept('-') ? '-' : '';
    const value = this.#next();
    if (value.kind === 'end' || value.kind === 'symbol') throw this.#syntaxError(value);
    return { kind: 'setOption', option: options.join(','), value: minus + this.#asWritten(value) };
  }

  #raiserror(): Unplaced<'raiserror'> {
    this.#expectSymbol('(');
    const message = this.#expression();
    this.#expectSymbol(',');
    const severity = this.#expression();
    this.#expectSymbol(',');
    const state = this.#expression();
    const args: Expression[] = [];
    while (this.#accept(',')) args.push(this.#expression());
    this.#expectSymbol(')');
    let log = false;
    if (this.#acceptWord('WITH')) {
      do log = this.#expect('word').text === 'LOG' || log;
      while (this.#accept(','));
    }
    return { kind: 'raiserror', message, severity, state, args, log };
  }

  #throw(): { kind: 'throw'; number: Expression; message: Expression; state: Expression } {
    const next = this.#peek();
    // There is no CATCH here, in which it would raise the error again.
    if (next.kind === 'end' || next.text === ';' || next.text === 'END') throw rethrowOutsideCatch(next.line);
    const number = this.#expression();
    this.#expectSymbol(',');
    const message = this.#expression();
    this.#expectSymbol(',');
    return { kind: 'throw', number, message, state: this.#expression() };
  }

  #if(): { kind: 'if'; condition: Condition; body: Statement[]; otherwise: Statement[] } {
    const condition = this.#condition();
    const body = this.#block();
    while (this.#peek().text === ';' && this.#peek(1).text === 'ELSE') this.#next();
    return { kind: 'if', condition, body, otherwise: this.#acceptWord('ELSE') ? this.#block() : [] };
  }

  #block(): Statement[] {
    const next = this.#peek(1);
    const plain = next.kind === 'word' && /^TRAN(SACTION)?$/.test(next.text);
    if (this.#peek().text !== 'BEGIN' || plain) return [this.#statement()];
    this.#next();
    const statements: Statement[] = [];
    for (;;) {
      while (this.#accept(';'));
      if (this.#acceptWord('END')) return statements;
      statements.push(this.#statement());
    }
  }

  #condition(): Condition {
    return this.#nested(() => {
      let left = this.#conjunction();
      for (let length = 1; this.#acceptWord('OR'); length += 1) {
        this.#checkLength(length);
        left = { kind: 'or', left, right: this.#conjunction() };
      }
      return left;
    });
  }

  /** The tree of a chain of operators is as deep as the chain is long. */
  #checkLength(length: number): void {
    if (length > LONGEST_CHAIN) throw nestedTooDeeply(this.#peek().line);
  }

  #conjunction(): Condition {
    let left = this.#predicate();
    for (let length = 1; this.#acceptWord('AND'); length += 1) {
      this.#checkLength(length);
      left = { kind: 'and', left, right: this.#predicate() };
    }
    return left;
  }

  #predicate(): Condition {
    if (this.#acceptWord('NOT')) return { kind: 'not', operand: this.#nested(() => this.#predicate()) };
    const [start, depth] = [this.#at, this.#depth];
    if (this.#accept('(')) {
      // Either a condition in parentheses or an expression that starts with a parenthesis.
      try {
        const inner = this.#condition();
        this.#expectSymbol(')');
        return inner;
      } catch {
        this.#at = start;
        this.#depth = depth;
      }
    }
    const left = this.#expression();
    if (this.#acceptWord('IS')) {
      const negated = this.#acceptWord('NOT');
      this.#expectWord('NULL');
      return { kind: 'isNull', operand: left, negated };
    }
    const not = this.#peek().text === 'NOT' && this.#peek().kind === 'word' && this.#next() !== undefined;
    const negated = (condition: Condition): Condition => (not ? { kind: 'not', operand: condition } : condition);
    if (this.#acceptWord('LIKE')) return negated({ kind: 'like', operand: left, pattern: this.#expression() });
    if (this.#acceptWord('IN')) {
      this.#expectSymbol('(');
      const list = [this.#expression()];
      while (this.#accept(',')) list.push(this.#expression());
      this.#expectSymbol(')');
      return negated({ kind: 'in', operand: left, list });
    }
    if (not) throw this.#syntaxError();
    const token = this.#next();
    const operator = token.text === '!=' ? '<>' : token.text;
    if (token.kind !== 'symbol' || !/^(=|<>|<=?|>=?)$/.test(operator)) throw this.#syntaxError(token);
    return { kind: 'compare', operator: operator as '=', left, right: this.#expression() };
  }

  #expression(): Expression {
    return this.#nested(() => this.#sum());
  }

  #sum(): Expression {
    let left = this.#term();
    for (let length = 1; ; length += 1) {
      this.#checkLength(length);
      if (this.#accept('+')) left = { kind: 'binary', operator: '+', left, right: this.#term() };
      else if (this.#accept('-')) left = { kind: 'binary', operator: '-', left, right: this.#term() };
      else return left;
    }
  }

  #term(): Expression {
    let left = this.#factor();
    for (let length = 1; ; length += 1) {
      this.#checkLength(length);
      const token = this.#peek();
      if (token.kind !== 'symbol' || !/^[*/%]$/.test(token.text)) return left;
      this.#next();
      left = { kind: 'binary', operator: token.text as '*', left, right: this.#factor() };
    }
  }

  #factor(): Expression {
    if (this.#accept('-')) return { kind: 'negate', operand: this.#nested(() => this.#factor()) };
    if (this.#accept('+')) return this.#nested(() => this.#factor());
    return this.#primary();
  }

  #primary(): Expression {
    const token = this.#next();
    switch (token.kind) {
      case 'integer':
        if (digitsOf(token.text) > MOST_DIGITS) throw numberOutOfRange(token);
        return integerLiteral(token.text);
      case 'decimal': {
        if (digitsOf(token.text) > MOST_DIGITS) throw numberOutOfRange(token);
        const { unscaled, precision, scale } = parseDecimal(token.text) as NonNullable<ReturnType<typeof parseDecimal>>;
        return { kind: 'literal', type: { name: 'numeric', precision, scale }, value: unscaled };
      }
      case 'money': {
        const { unscaled, scale } = parseDecimal(token.text.slice(1)) as NonNullable<ReturnType<typeof parseDecimal>>;
        return { kind: 'literal', type: { name: 'money' }, value: rescale(unscaled, scale, 4) };
      }
      case 'float': {
        const value = Number(token.text);
        if (!Number.isFinite(value)) throw floatOutOfRange(token);
        return { kind: 'literal', type: FLOAT, value };
      }
      case 'binary': {
        const hex = token.text.slice(2);
        const value = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
        return { kind: 'literal', type: { name: 'varbinary', length: Math.max(1, value.length) }, value };
      }
      case 'string':
        return stringLiteral(token.text, token.national === true);
      case 'variable':
        return { kind: 'variable', name: token.text };
      case 'global': {
        const name = token.text.toUpperCase();
        if (!Object.hasOwn(GLOBALS, name)) throw undeclared(token.text, token.line);
        return { kind: 'global', name };
      }
      case 'symbol':
        if (token.text === '(') return this.#closing(this.#expression());
        throw this.#syntaxError(token);
      case 'word':
      case 'quoted':
        return this.#named(token);
      case 'end':
        throw this.#syntaxError(token);
    }
  }

  #named(token: Token): Expression {
    const quoted = token.kind === 'quoted';
    const upper = token.text.toUpperCase();
    if (!quoted) {
      if (upper === 'NULL') return { kind: 'literal', type: UNTYPED, value: null };
      if (upper === 'CASE') return this.#case();
      if (upper === 'CURRENT_TIMESTAMP' || upper === 'SYSTEM_USER' || upper === 'CURRENT_USER') {
        return { kind: 'call', name: upper, args: [] };
      }
      if (RESERVED.has(upper)) throw this.#syntaxError(token, true);
    }
    if (this.#accept('(')) return this.#call(upper);
    if (this.#accept('.')) {
      const member = this.#next();
      if (this.#accept('(')) throw noSuchFunction(`${this.#asWritten(token)}.${this.#asWritten(member)}`, token.line);
      return this.#column(member, this.#asWritten(token));
    }
    return this.#column(token);
  }

  /** A column of the current SELECT; invalid outside a SELECT. */
  #column(token: Token, qualifier?: string): Expression {
    const column = { name: this.#asWritten(token), qualifier, line: token.line };
    if (this.#columns === undefined) throw noSuchColumn(column.name, qualifier, token.line);
    this.#columns.push(column);
    return { kind: 'column', name: column.name };
  }

  #call(name: string): Expression {
    if (name === 'CAST' || name === 'TRY_CAST') {
      const operand = this.#expression();
      this.#expectWord('AS');
      const type = this.#systemType();
      this.#expectSymbol(')');
      return { kind: 'cast', operand, type, orNull: name === 'TRY_CAST' };
    }
    if (name === 'CONVERT' || name === 'TRY_CONVERT') {
      const type = this.#systemType();
      this.#expectSymbol(',');
      const operand = this.#expression();
      const style = this.#accept(',') ? this.#style() : undefined;
      this.#expectSymbol(')');
      return { kind: 'cast', operand, type, orNull: name === 'TRY_CONVERT', style };
    }
    if (!isFunction(name)) throw notAFunction(name, this.#peek().line);
    const args: Expression[] = [];
    if (this.#accept(')')) return { kind: 'call', name, args };
    do args.push(this.#expression());
    while (this.#accept(','));
    this.#expectSymbol(')');
    return { kind: 'call', name, args };
  }

  #style(): number {
    const token = this.#expect('integer');
    const style = Number(token.text);
    if (!STYLES.has(style)) {
      const message = `${token.text} is not a valid style number when converting to or from a character string.`;
      throw new SqlServerError({ number: 281, message, lineNumber: token.line });
    }
    return style;
  }

  #case(): Expression {
    const subject = this.#peek().text === 'WHEN' && this.#peek().kind === 'word' ? undefined : this.#expression();
    const branches: { when: Condition; result: Expression }[] = [];
    while (this.#acceptWord('WHEN')) {
      const when: Condition =
        subject === undefined
          ? this.#condition()
          : { kind: 'compare', operator: '=', left: subject, right: this.#expression() };
      this.#expectWord('THEN');
      branches.push({ when, result: this.#expression() });
    }
    const otherwise = this.#acceptWord('ELSE') ? this.#expression() : undefined;
    this.#expectWord('END');
    if (branches.length === 0) throw this.#syntaxError(this.#tokens[this.#at - 1]);
    return { kind: 'case', branches, otherwise };
  }

  /** The target of CAST and CONVERT. */
  #systemType(): SqlType {
    const type = this.#type();
    if (type.name !== 'table') return type;
    const token = this.#tokens[this.#at - 1] as Token;
    const message = `Type ${this.#asWritten(token)} is not a defined system type.`;
    throw new SqlServerError({ number: 243, message, lineNumber: token.line });
  }

  #type(): SqlType {
    const token = this.#next();
    if (token.kind !== 'word' && token.kind !== 'quoted') throw this.#syntaxError(token);
    let name = token.text;
    if (this.#accept('.')) name = this.#next().text;
    const args: string[] = [];
    if (this.#accept('(')) {
      do args.push(this.#next().text);
      while (this.#accept(','));
      this.#expectSymbol(')');
    }
    const type = typeNamed(name, args);
    if (type === undefined) {
      // A user-defined type can only belong to a table-valued parameter.
      if (args.length === 0) return { name: 'table' };
      throw this.#syntaxError(token);
    }
    return type;
  }

  #transactionWord(): void {
    if (!this.#isTransactionWord()) throw this.#syntaxError();
    this.#next();
  }

  #isTransactionWord(): boolean {
    const token = this.#peek();
    return token.kind === 'word' && (token.text === 'TRAN' || token.text === 'TRANSACTION');
  }

  #optionalName(): string {
    const token = this.#peek();
    const named =
      token.kind === 'quoted' || token.kind === 'variable' || (token.kind === 'word' && !RESERVED.has(token.text));
    return named ? this.#asWritten(this.#next()) : '';
  }

  #name(): string {
    const token = this.#next();
    if (token.kind !== 'word' && token.kind !== 'quoted' && token.kind !== 'variable') throw this.#syntaxError(token);
    return this.#asWritten(token);
  }

  /** The error for valid T-SQL that the emulator does not support: its object does not exist. */
  #notOurs(token: Token): SqlServerError {
    switch (token.text) {
      case 'INSERT':
      case 'DELETE':
      case 'UPDATE': {
        if (token.text === 'INSERT') this.#acceptWord('INTO');
        if (token.text === 'DELETE') this.#acceptWord('FROM');
        const object = this.#next();
        if (object.kind === 'word' || object.kind === 'quoted')
          return noSuchObject(this.#objectName(object), token.line);
        return this.#syntaxError(object);
      }
      default:
        return this.#syntaxError(token);
    }
  }

  #objectName(first: Token): string {
    let name = this.#asWritten(first);
    while (this.#accept('.')) name += `.${this.#asWritten(this.#next())}`;
    return name;
  }

  #closing(expression: Expression): Expression {
    this.#expectSymbol(')');
    return expression;
  }

  #peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)] as Token;
  }

  #next(): Token {
    const token = this.#peek();
    if (this.#at < this.#tokens.length - 1) this.#at += 1;
    return token;
  }

  #accept(symbol: string): boolean {
    const token = this.#peek();
    if (token.kind !== 'symbol' || token.text !== symbol) return false;
    this.#next();
    return true;
  }

  #acceptWord(word: string): boolean {
    const token = this.#peek();
    if (token.kind !== 'word' || token.text !== word) return false;
    this.#next();
    return true;
  }

  #expect(kind: Token['kind']): Token {
    const token = this.#next();
    if (token.kind !== kind) throw this.#syntaxError(token);
    return token;
  }

  #expectSymbol(symbol: string): void {
    if (!this.#accept(symbol)) throw this.#syntaxError();
  }

  #expectWord(word: string): void {
    if (!this.#acceptWord(word)) throw this.#syntaxError();
  }

  #asWritten(token: Token): string {
    return token.source ?? token.text;
  }

  #syntaxError(token: Token = this.#peek(), keyword = false): SqlServerError {
    const text =
      token.kind === 'end' ? (this.#tokens.at(-2)?.source ?? this.#tokens.at(-2)?.text ?? '') : this.#asWritten(token);
    const isKeyword = keyword || (token.kind === 'word' && RESERVED.has(token.text));
    return new SqlServerError({
      number: isKeyword ? 156 : 102,
      class: 15,
      message: isKeyword ? `Incorrect syntax near the keyword '${text}'.` : `Incorrect syntax near '${text}'.`,
      lineNumber: token.line,
    });
  }
}

/** The digits of a number without leading zeros. */
function digitsOf(text: string): number {
  if (text.length > LONGEST_NUMBER) return text.length;
  let zeros = 0;
  while (text.charAt(zeros) === '0') zeros += 1;
  return text.length - zeros - (text.includes('.') ? 1 : 0);
}

function floatOutOfRange({ text, line }: Token): SqlServerError {
  const message = `The floating point value '${text.slice(0, 130)}' is out of the range of computer representation (8 bytes).`;
  return new SqlServerError({ number: 168, class: 15, message, lineNumber: line });
}

function integerLiteral(text: string): Expression {
  const value = BigInt(text);
  if (value <= 0x7fffffffn) return { kind: 'literal', type: INT, value: Number(value) };
  return { kind: 'literal', type: { name: 'numeric', precision: Math.min(38, text.length), scale: 0 }, value };
}

function stringLiteral(text: string, national: boolean): Expression {
  const limit = national ? 4000 : 8000;
  const length = text.length > limit ? MAX : Math.max(1, text.length);
  return { kind: 'literal', type: { name: national ? 'nvarchar' : 'varchar', length }, value: text };
}

function noSuchObject(name: string, lineNumber: number): SqlServerError {
  return new SqlServerError({ number: 208, class: 16, message: `Invalid object name '${name}'.`, lineNumber });
}

function noSuchProcedure(name: string, lineNumber: number): SqlServerError {
  return new SqlServerError({
    number: 2812,
    class: 16,
    state: 62,
    message: `Could not find stored procedure '${name}'.`,
    lineNumber,
  });
}

function notAFunction(name: string, lineNumber: number): SqlServerError {
  const message = `'${name.toLowerCase()}' is not a recognized built-in function name.`;
  return new SqlServerError({ number: 195, class: 15, state: 10, message, lineNumber });
}

function noSuchFunction(name: string, lineNumber: number): SqlServerError {
  return new SqlServerError({
    number: 4121,
    class: 16,
    message: `Cannot find either column "${name.split('.')[0]}" or the user-defined function or aggregate "${name}", or the name is ambiguous.`,
    lineNumber,
  });
}

function checkColumn(
  { name, qualifier, line }: NamedColumn,
  from: Series | View | undefined,
  alias: string | undefined,
): void {
  const columns =
    from === undefined ? {} : from.kind === 'series' ? { value: INT } : SYSTEM_VIEWS.get(from.name)?.columns;
  const known = Object.hasOwn(columns ?? {}, name.toLowerCase());
  const own = qualifier === undefined || qualifier.toLowerCase() === alias?.toLowerCase();
  if (!known || !own) throw noSuchColumn(name, qualifier, line);
}

function nestedTooDeeply(lineNumber: number): SqlServerError {
  const message =
    'Some part of your SQL statement is nested too deeply. Rewrite the query or break it up into smaller queries.';
  return new SqlServerError({ number: 191, class: 15, message, lineNumber });
}

function numberOutOfRange({ text, line }: Token): SqlServerError {
  const message = `The number '${text.slice(0, 130)}' is out of the range for numeric representation (maximum precision 38).`;
  return new SqlServerError({ number: 1007, class: 15, message, lineNumber: line });
}

function mustHaveTable(lineNumber: number): SqlServerError {
  return new SqlServerError({ number: 263, class: 16, message: 'Must specify table to select from.', lineNumber });
}

function missingParameter(procedure: string, parameter: string): SqlServerError {
  const message = `Procedure or function '${procedure}' expects parameter '${parameter}', which was not supplied.`;
  return new SqlServerError({ number: 201, state: 4, message });
}

function noSuchColumn(name: string, qualifier: string | undefined, lineNumber: number): SqlServerError {
  if (qualifier === undefined) {
    return new SqlServerError({ number: 207, message: `Invalid column name '${name}'.`, lineNumber });
  }
  const message = `The multi-part identifier "${qualifier}.${name}" could not be bound.`;
  return new SqlServerError({ number: 4104, message, lineNumber });
}

/** Error 137: a variable that no DECLARE and no parameter names. */
export function undeclared(name: string, lineNumber?: number): SqlServerError {
  const message = `Must declare the scalar variable "${name}".`;
  return new SqlServerError({ number: 137, class: 15, state: 2, message, lineNumber });
}

function rethrowOutsideCatch(lineNumber: number): SqlServerError {
  return new SqlServerError({
    number: 10704,
    class: 15,
    message:
      'To rethrow an error, a THROW statement must be used inside a CATCH block. Insert the THROW statement inside a CATCH block, or add error parameters to the THROW statement.',
    lineNumber,
  });
}

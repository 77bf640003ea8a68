import initSqlJs, { type Database, type SqlValue } from 'sql.js';
import type { QueryAnswer, QueryHandler, SqlSession, TransactionHandler } from '../../src/testing/index.js';

/**
 * Tables behind the SQL emulator: the T-SQL that ORMs send, run by SQLite in memory. It supports what these ORMs use and nothing
 * else; everything else fails with an error. Transactions of several sessions run one after the other.
 */
export interface Tables {
  onQuery: QueryHandler;
  onTransaction: TransactionHandler;
}

export async function makeTables(): Promise<Tables> {
  const { Database } = await initSqlJs();
  const tables = new SqliteTables(new Database());
  return {
    onQuery: (sql, parameters, session) => tables.run(sql, parameters, session),
    onTransaction: (event, session) => tables.transaction(event.kind, event.name, session),
  };
}

class SqliteTables {
  readonly #db: Database;
  /** Session whose transaction SQLite is in. */
  #owner: SqlSession | undefined;
  #waiting: (() => void)[] = [];
  /** Savepoints of sessions that have not touched a table yet. */
  readonly #early = new WeakMap<SqlSession, string[]>();
  #affected = 0;

  constructor(db: Database) {
    this.#db = db;
    for (const [name, fn] of Object.entries(FUNCTIONS)) db.create_function(name, fn as never);
    db.create_function('object_id', (name: string) => this.#objectId(name));
    db.create_function('object_id', (name: string, _type: string) => this.#objectId(name));
    // Makes sqlite_sequence.
    db.run('CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT)');
    db.run('DROP TABLE t');
    db.run(
      "CREATE VIEW information_schema_tables AS SELECT 'master' AS TABLE_CATALOG, 'dbo' AS TABLE_SCHEMA, name AS TABLE_NAME, 'BASE TABLE' AS TABLE_TYPE FROM sqlite_master WHERE type = 'table'",
    );
    db.run(
      "CREATE VIEW information_schema_columns AS SELECT 'dbo' AS TABLE_SCHEMA, m.name AS TABLE_NAME, p.name AS COLUMN_NAME, p.type AS DATA_TYPE FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table'",
    );
  }

  async run(sql: string, parameters: Record<string, unknown>, session: SqlSession): Promise<QueryAnswer> {
    if (sql.includes('@ms_ver')) return VERSION_FOR_SEQUELIZE;
    // No other caller may come between the turn and the work.
    while (!this.#takesTurn(session)) await new Promise<void>((go) => this.#waiting.push(go));
    const [first, ...more] = this.#batch(statementsOf(tokenize(sql)), parameters);
    return { ...(first ?? { rowsAffected: 0 }), more };
  }

  transaction(kind: 'begin' | 'commit' | 'rollback' | 'save', name: string, session: SqlSession): void {
    if (this.#owner !== session) {
      if (kind === 'save') this.#early.set(session, [...(this.#early.get(session) ?? []), name]);
      else this.#early.delete(session);
    } else if (kind === 'save') this.#db.run(`SAVEPOINT "${name}"`);
    else if (kind === 'rollback')
      this.#keepingIdentities(() => this.#db.run(name ? `ROLLBACK TO "${name}"` : 'ROLLBACK'));
    else this.#db.run('COMMIT');
    if (this.#owner === session && kind !== 'save' && name === '') {
      this.#owner = undefined;
      for (const go of this.#waiting.splice(0)) go();
    }
  }

  /** IDENTITY continues counting after a rollback, unlike SQLite. */
  #keepingIdentities(rollback: () => void): void {
    const [counted] = this.#db.exec('SELECT name, seq FROM sqlite_sequence');
    rollback();
    for (const [name, seq] of counted?.values ?? []) {
      this.#db.run('DELETE FROM sqlite_sequence WHERE name = ?', [name as SqlValue]);
      this.#db.run('INSERT INTO sqlite_sequence VALUES (?, ?)', [name as SqlValue, seq as SqlValue]);
    }
  }

  /** False during the transaction of another session; begins that of this one. */
  #takesTurn(session: SqlSession): boolean {
    if (this.#owner === session) return true;
    if (this.#owner !== undefined) return false;
    if (session.transactionDepth === 0) return true;
    this.#owner = session;
    this.#db.run('BEGIN');
    for (const name of this.#early.get(session) ?? []) this.#db.run(`SAVEPOINT "${name}"`);
    this.#early.delete(session);
    return true;
  }

  #batch(statements: Tokens[], parameters: Record<string, unknown>): QueryAnswer[] {
    const variables = statements.flatMap((statement) => this.#declare(statement));
    try {
      return statements.flatMap((statement) => this.#statement(statement, parameters) ?? []);
    } finally {
      for (const name of variables) this.#db.run(`DROP TABLE IF EXISTS ${name}`);
    }
  }

  /** `DECLARE @name TABLE (...)` becomes a temporary table. */
  #declare(statement: Tokens): string[] {
    if (!is(statement[0], 'DECLARE') || !is(statement[2], 'TABLE')) return [];
    const name = tableVariable(statement[1] as string);
    this.#db.run(`CREATE TEMP TABLE ${name} ${text(columnDefinitions(statement.slice(3)))}`);
    return [name];
  }

  #statement(tokens: Tokens, parameters: Record<string, unknown>): QueryAnswer | undefined {
    const [first = '', second = ''] = tokens.map((token) => token.toUpperCase());
    if (first === 'DECLARE' || (first === 'SET' && second === 'IDENTITY_INSERT')) return undefined;
    if (first === 'IF') return this.#if(tokens, parameters);
    if (first === 'BEGIN' && is(tokens.at(-1), 'END')) return this.#statement(tokens.slice(1, -1), parameters);
    // Every database exists, as with the emulator itself; of the catalog there is nothing else.
    if (mentionsCatalog(tokens) && tokens.some((token) => named(token) === 'databases')) return { rows: [{ name: 1 }] };
    if (first === 'EXEC' || first === 'EXECUTE' || mentionsCatalog(tokens)) return { columns: ['name'], rows: [] };
    if (first === 'CREATE' && second === 'TABLE') return this.#change(createTable(tokens), parameters);
    if (first === 'ALTER' && tokens.some((token) => is(token, 'CONSTRAINT'))) return { rowsAffected: 0 };
    const into = intoTableVariable(tokens);
    if (into === undefined) return this.#change(toSqlite(tokens), parameters);
    const { rows = [] } = this.#change(toSqlite(into.tokens), parameters);
    for (const row of rows as SqlValue[][]) {
      this.#db.run(`INSERT INTO ${into.variable} VALUES (${row.map(() => '?').join(',')})`, row);
    }
    return { rowsAffected: this.#affected };
  }

  #if(tokens: Tokens, parameters: Record<string, unknown>): QueryAnswer | undefined {
    const start = indexAtTop(tokens, (token) => /^(CREATE|DROP|ALTER|INSERT|UPDATE|EXEC|BEGIN)$/i.test(token), 1);
    const condition = text(toSqlite(tokens.slice(1, start)));
    const { rows } = this.#change([`SELECT CASE WHEN ${condition} THEN 1 ELSE 0 END`], parameters);
    return (rows as number[][])[0]?.[0] === 1 ? this.#statement(tokens.slice(start), parameters) : { rowsAffected: 0 };
  }

  #change(tokens: Tokens, parameters: Record<string, unknown>): QueryAnswer & { rows?: SqlValue[][] } {
    const sql = text(tokens).replace(/@@ROWCOUNT\b/gi, String(this.#affected));
    try {
      const statement = this.#db.prepare(sql, bindings(parameters));
      const columns = statement.getColumnNames();
      const rows: SqlValue[][] = [];
      while (statement.step()) rows.push(statement.get());
      statement.free();
      const returns = columns.length > 0;
      if (!/^\s*(SELECT|WITH)\b/i.test(sql)) this.#affected = returns ? rows.length : this.#db.getRowsModified();
      if (!returns) return { rowsAffected: this.#affected };
      const named = (name: string): string => (/^[a-z_]/i.test(name) && !name.includes('(') ? name : '');
      return {
        columns: columns.map((name, i) => ({ name: named(name), type: typeOf(rows.map((row) => row[i])) })),
        rows,
      };
    } catch (error) {
      throw Object.assign(new Error(`${(error as Error).message}: ${sql}`), { number: 50_001 });
    }
  }

  #objectId(name: string): number | null {
    const table = (name.split('.').at(-1) as string).replace(/[[\]"]/g, '');
    return (
      Number(this.#db.exec('SELECT rowid FROM sqlite_master WHERE name = ?', [table])[0]?.values[0]?.[0] ?? 0) || null
    );
  }
}

/** Sequelize parses the version with functions that SQLite does not have. */
const VERSION_FOR_SEQUELIZE: QueryAnswer = { columns: ['version'], rows: [['16.0.1000']] };

const FUNCTIONS = {
  db_name: () => 'master',
  schema_name: () => 'dbo',
  getdate: () => new Date().toISOString(),
  len: (value: string | null) => value?.length ?? null,
  isnull: (value: SqlValue, otherwise: SqlValue) => value ?? otherwise,
};

function bindings(parameters: Record<string, unknown>): Record<string, SqlValue> {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [`@${name.toLowerCase()}`, bound(value)]),
  );
}

function bound(value: unknown): SqlValue {
  if (value instanceof Date) return value.toISOString();
  if (typeof value === 'boolean' || typeof value === 'bigint') return Number(value);
  return (value ?? null) as SqlValue;
}

/** The type of a column, from all its values: numbers of a table are whole here. */
function typeOf(values: (SqlValue | undefined)[]): string {
  const known = values.filter((value) => value !== null);
  if (known.length === 0 || known.some((value) => typeof value !== 'number')) return 'nvarchar(max)';
  return known.some((value) => Math.abs(Number(value)) > 2 ** 31) ? 'bigint' : 'int';
}

// ---- T-SQL into SQLite's SQL ----

type Tokens = string[];

/** Strings, names, variables, numbers, words and signs; comments and space are left out, variables are in lower case. */
function tokenize(sql: string): Tokens {
  const pattern =
    /--[^\n]*|\/\*[\s\S]*?\*\/|N?'(?:[^']|'')*'|\[(?:[^\]]|\]\])*\]|"(?:[^"]|"")*"|@@?\w+|[\w#$]+|<>|<=|>=|!=|\|\||\S/g;
  const found = sql.match(pattern) ?? [];
  return found
    .filter((token) => !/^(--|\/\*)/.test(token))
    .map((token) => (token.startsWith("N'") ? token.slice(1) : /^@[^@]/.test(token) ? token.toLowerCase() : token));
}

function text(tokens: Tokens): string {
  return tokens.join(' ').replaceAll(' . ', '.');
}

function is(token: string | undefined, word: string): boolean {
  return token?.toUpperCase() === word;
}

function named(token: string | undefined): string {
  return (token ?? '').replace(/^[["]|[\]"]$/g, '').toLowerCase();
}

/** Index of the first token outside brackets that fits. */
function indexAtTop(tokens: Tokens, fits: (token: string) => boolean, from = 0): number {
  let depth = 0;
  for (let i = from; i < tokens.length; i++) {
    const token = tokens[i] as string;
    if (token === ')') depth -= 1;
    if (depth === 0 && fits(token)) return i;
    if (token === '(') depth += 1;
  }
  return tokens.length;
}

/** Index of the bracket that closes the one at `open`. */
function closing(tokens: Tokens, open: number): number {
  return indexAtTop(tokens, (token) => token === ')', open);
}

/** Statements by their semicolons, and by the words that follow one in the batches that Prisma and Sequelize send. */
function statementsOf(tokens: Tokens): Tokens[] {
  const end = indexAtTop(tokens, (token) => token === ';');
  const head = tokens.slice(0, end);
  const rest = end < tokens.length ? statementsOf(tokens.slice(end + 1)) : [];
  return [...splitWithoutSemicolon(head), ...rest].filter((statement) => statement.length > 0);
}

function splitWithoutSemicolon(tokens: Tokens): Tokens[] {
  if (is(tokens[0], 'DECLARE') && is(tokens[2], 'TABLE')) {
    const end = closing(tokens, 3) + 1;
    return [tokens.slice(0, end), ...splitWithoutSemicolon(tokens.slice(end))];
  }
  if (is(tokens[0], 'INSERT')) {
    const values = indexAtTop(tokens, (token) => is(token, 'VALUES'));
    const select = indexAtTop(tokens, (token) => is(token, 'SELECT'), values);
    if (select < tokens.length) return [tokens.slice(0, select), tokens.slice(select)];
  }
  return [tokens];
}

function mentionsCatalog(tokens: Tokens): boolean {
  return (
    tokens.some((token, i) => named(token) === 'sys' && tokens[i + 1] === '.') || tokens.some((t) => /^@@?fn_/.test(t))
  );
}

function createTable(tokens: Tokens): Tokens {
  const open = tokens.indexOf('(');
  return [...withoutSchema(tokens.slice(0, open)), ...columnDefinitions(tokens.slice(open, closing(tokens, open) + 1))];
}

/** Columns keep their names, types and NULLs. An IDENTITY column is SQLite's own key; other constraints are left out. */
function columnDefinitions(tokens: Tokens): Tokens {
  const definitions = splitAtCommas(tokens.slice(1, -1)).filter(
    ([first]) => !/^(CONSTRAINT|PRIMARY|FOREIGN|UNIQUE|INDEX|CHECK)$/i.test(first ?? ''),
  );
  const columns = definitions.map((definition) => {
    const [name = '', type = ''] = definition;
    if (definition.some((token) => is(token, 'IDENTITY'))) return `${name} INTEGER PRIMARY KEY AUTOINCREMENT`;
    return `${name} ${/int|bit/i.test(named(type)) ? 'INTEGER' : 'TEXT'}`;
  });
  return ['(', columns.join(', '), ')'];
}

function splitAtCommas(tokens: Tokens): Tokens[] {
  const comma = indexAtTop(tokens, (token) => token === ',');
  const head = tokens.slice(0, comma);
  return comma < tokens.length ? [head, ...splitAtCommas(tokens.slice(comma + 1))] : [head];
}

/** `OUTPUT ... INTO @name` of an insert. */
function intoTableVariable(tokens: Tokens): { tokens: Tokens; variable: string } | undefined {
  const output = indexAtTop(tokens, (token) => is(token, 'OUTPUT'));
  const into = indexAtTop(tokens, (token) => is(token, 'INTO'), output);
  const variable = tokens[into + 1];
  if (output === tokens.length || variable?.startsWith('@') !== true) return undefined;
  const columns = tokens[into + 2] === '(' ? closing(tokens, into + 2) + 1 : into + 2;
  // INSERT INTO t OUTPUT ... INTO @v (columns) VALUES: only what belongs to OUTPUT goes.
  const isColumnList = is(tokens[columns], 'VALUES') || columns === into + 2;
  return {
    tokens: [...tokens.slice(0, into), ...tokens.slice(isColumnList ? columns : into + 2)],
    variable: tableVariable(variable),
  };
}

function tableVariable(name: string): string {
  return `variable_${name.slice(1)}`;
}

function toSqlite(tokens: Tokens): Tokens {
  return [
    outputToReturning,
    withoutSchema,
    plainInsertColumns,
    withoutHints,
    offsetToLimit,
    topToLimit,
    smallThings,
  ].reduce((changed, change) => change(changed), tokens);
}

/** OUTPUT stands before VALUES or WHERE, RETURNING at the end. */
function outputToReturning(tokens: Tokens): Tokens {
  const start = indexAtTop(tokens, (token) => is(token, 'OUTPUT'));
  if (start === tokens.length) return tokens;
  const end = indexAtTop(tokens, (token) => /^(VALUES|SELECT|WHERE|FROM|DEFAULT)$/i.test(token), start + 1);
  const output = tokens
    .slice(start + 1, end)
    .filter(
      (token, i, all) => !(isPseudoTable(token) && all[i + 1] === '.') && !(token === '.' && isPseudoTable(all[i - 1])),
    );
  return [...tokens.slice(0, start), ...tokens.slice(end), 'RETURNING', ...output];
}

function isPseudoTable(token: string | undefined): boolean {
  return /^(inserted|deleted)$/.test(named(token));
}

/** `dbo.t` and `db.dbo.t` are `t`; the views of INFORMATION_SCHEMA have names of their own. */
function withoutSchema(tokens: Tokens): Tokens {
  const kept: Tokens = [];
  for (let i = 0; i < tokens.length; i++) {
    const [token = '', dot, next] = tokens.slice(i, i + 3);
    if (dot === '.' && next === '.') i += 2;
    else if (dot === '.' && named(next) === 'dbo' && tokens[i + 3] === '.') i += 1;
    else if (dot === '.' && named(next) === 'information_schema') i += 1;
    else if (dot === '.' && named(token) === 'dbo') i += 1;
    else if (dot === '.' && named(token) === 'information_schema') {
      kept.push(`information_schema_${named(next)}`);
      i += 2;
    } else kept.push(token.startsWith('@') && isTableName(tokens, i) ? tableVariable(token) : token);
  }
  return kept;
}

/** `INSERT INTO t (t.a, t.b)`, as Prisma writes it. */
function plainInsertColumns(tokens: Tokens): Tokens {
  const open = tokens.indexOf('(');
  if (!is(tokens[0], 'INSERT') || tokens[open + 2] !== '.') return tokens;
  const end = closing(tokens, open);
  const columns = tokens.slice(open, end).filter((token, i, all) => token !== '.' && all[i + 1] !== '.');
  return [...tokens.slice(0, open), ...columns, ...tokens.slice(end)];
}

function isTableName(tokens: Tokens, i: number): boolean {
  return /^(FROM|JOIN|INTO)$/i.test(tokens[i - 1] ?? '');
}

function withoutHints(tokens: Tokens): Tokens {
  const start = tokens.findIndex((token, i) => i > 0 && is(token, 'WITH') && tokens[i + 1] === '(');
  if (start === -1) return tokens;
  return withoutHints([...tokens.slice(0, start), ...tokens.slice(closing(tokens, start + 1) + 1)]);
}

function offsetToLimit(tokens: Tokens): Tokens {
  const start = tokens.findIndex((token, i) => is(token, 'OFFSET') && /^ROWS?$/i.test(tokens[i + 2] ?? ''));
  if (start === -1) return tokens;
  const offset = tokens[start + 1] as string;
  const fetches = is(tokens[start + 3], 'FETCH');
  const limit = fetches ? (tokens[start + 5] as string) : '-1';
  return offsetToLimit([
    ...tokens.slice(0, start),
    ...['LIMIT', limit, 'OFFSET', offset],
    ...tokens.slice(start + (fetches ? 8 : 3)),
  ]);
}

function topToLimit(tokens: Tokens): Tokens {
  const top = tokens.findIndex(
    (token, i) => is(token, 'TOP') && /^(SELECT|DISTINCT|DELETE|UPDATE)$/i.test(tokens[i - 1] ?? ''),
  );
  if (top === -1) return tokens;
  const after = tokens[top + 1] === '(' ? closing(tokens, top + 1) + 1 : top + 2;
  const limit = tokens.slice(top + 1, after);
  const end = is(tokens[top - 1], 'DELETE') || is(tokens[top - 1], 'UPDATE') ? 0 : endOfSelect(tokens, after);
  if (end === 0) return topToLimit([...tokens.slice(0, top), ...tokens.slice(after)]);
  return topToLimit([...tokens.slice(0, top), ...tokens.slice(after, end), 'LIMIT', ...limit, ...tokens.slice(end)]);
}

function endOfSelect(tokens: Tokens, from: number): number {
  return indexAtTop(tokens, (token) => token === ')', from);
}

const WORDS: Record<string, string> = {
  COUNT_BIG: 'COUNT',
  SYSDATETIME: 'GETDATE',
  CURRENT_TIMESTAMP: 'CURRENT_TIMESTAMP',
};

function smallThings(tokens: Tokens): Tokens {
  return tokens
    .map((token, i) =>
      is(token, 'MAX') && tokens[i - 1] === '(' && tokens[i + 1] === ')' ? '0' : (WORDS[token.toUpperCase()] ?? token),
    )
    .filter((token) => !/^(NONCLUSTERED|CLUSTERED)$/i.test(token));
}

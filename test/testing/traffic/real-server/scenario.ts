import sql from 'mssql';
import { Connection, Request, TYPES } from 'tedious';
import { redactMessage } from '../../../../src/testing/traffic/redact-value.js';

/** What a client notices, in order: the name of an event and its relevant values. */
export type Observed = [event: string, ...values: unknown[]];

/** mssql config of the server, with an identity that may log in. */
export type ConfigFor = (overrides: { database: string; user?: string; password?: string }) => sql.config;

/** The databases of the scenario: the first two exist, the third does not. */
export const DATABASES = { first: 'recorded_shop', second: 'recorded_archive', missing: 'recorded_missing' };

type Step = (session: Session) => Promise<void>;

/** Statements that the replaying emulator answers from the recording. */
export const RECORDED_STEPS: Record<string, Step> = {
  'a row of several types': ({ batch }) =>
    batch(`SELECT CAST(7 AS int) AS number, CAST(N'seven' AS nvarchar(10)) AS word, CAST(NULL AS int) AS nothing,
      CAST(7.25 AS decimal(9, 2)) AS exact, CAST('2026-11-28T08:00:00.5' AS datetime2(3)) AS moment`),
  'two result sets': ({ batch }) => batch('SELECT 1 AS a; SELECT 2 AS b UNION ALL SELECT 3'),
  'a parameter': ({ execute }) => execute('SELECT @id AS id', { id: 7 }),
  'messages between results': ({ batch }) => batch("PRINT 'before'; SELECT 1 AS a; PRINT 'after'"),
  'RAISERROR with class 10': ({ batch }) => batch("RAISERROR('half way', 10, 3) WITH NOWAIT"),
  'RAISERROR with class 16': ({ batch }) => batch("RAISERROR('user error', 16, 4)"),
  THROW: ({ batch }) => batch("THROW 50001, 'thrown', 5"),
  'a division by zero': ({ batch }) => batch('SELECT 1 / 0 AS never'),
  'an error between results': ({ batch }) => batch('SELECT 4 AS first; SELECT 1 / 0 AS never; SELECT 5 AS last'),
  'an error with a parameter': ({ execute }) => execute('SELECT 1 / @id AS never', { id: 0 }),
  'a missing table': ({ batch }) => batch('SELECT * FROM recorded_nothing'),
  'a failed conversion': ({ batch }) => batch("SELECT CAST('seven' AS int) AS number"),
  'a missing procedure': ({ batch }) => batch('EXEC recorded_nothing'),
  'a new table': ({ batch }) =>
    batch('CREATE TABLE recorded_orders (id int NOT NULL PRIMARY KEY, item nvarchar(5) NOT NULL)'),
  'an inserted row': ({ execute }) => execute("INSERT INTO recorded_orders VALUES (@id, N'cup')", { id: 1 }),
  'a duplicate key': ({ execute }) => execute("INSERT INTO recorded_orders VALUES (@id, N'pot')", { id: 1 }),
  'a missing value': ({ batch }) => batch('INSERT INTO recorded_orders VALUES (2, NULL)'),
  'text that is too long': ({ batch }) => batch("INSERT INTO recorded_orders (id, item) VALUES (2, N'too long')"),
  'row counts': ({ batch }) =>
    batch(
      "UPDATE recorded_orders SET item = N'jug'; DELETE FROM recorded_orders WHERE id = 9; SELECT * FROM recorded_orders",
    ),
  'a dropped table': ({ batch }) => batch('DROP TABLE recorded_orders'),
  'a caught error': ({ batch }) =>
    batch('BEGIN TRY SELECT 1 / 0 AS never END TRY BEGIN CATCH SELECT ERROR_NUMBER() AS number END CATCH'),
};

/** Statements that change the session, which the emulator runs itself. */
export const SESSION_STEPS: Record<string, Step> = {
  'USE another database': ({ batch }) => batch(`USE ${DATABASES.second}`),
  'USE a missing database': ({ batch }) => batch('USE recorded_nowhere'),
  'SET LANGUAGE': ({ batch }) => batch('SET LANGUAGE us_english'),
  'a committed transaction': async ({ begin, batch, commit }) => {
    await begin();
    await batch('SELECT @@TRANCOUNT AS depth');
    await commit();
  },
  'a transaction that is rolled back': async ({ begin, rollback }) => {
    await begin();
    await rollback();
  },
  'a transaction in text': ({ batch }) => batch('BEGIN TRANSACTION; COMMIT TRANSACTION'),
  'COMMIT without a transaction': ({ batch }) => batch('COMMIT TRANSACTION'),
  'ROLLBACK without a transaction': ({ batch }) => batch('ROLLBACK TRANSACTION'),
  'a reset': async ({ batch, reset }) => {
    await batch('CREATE TABLE #recorded_before (id int); SELECT 1 AS created');
    await reset();
    await batch('SELECT @@TRANCOUNT AS depth');
  },
};

/** A session that notes what its client notices. */
class Session {
  readonly observed: Observed[] = [];
  readonly #connection: Connection;

  constructor(config: sql.config) {
    const { server, port, user, password, authentication, database, options } = config;
    this.#connection = new Connection({
      server,
      authentication: authentication ?? { type: 'default', options: { userName: user, password } },
      options: { ...options, port, database },
    } as never);
    for (const event of ['databaseChange', 'languageChange', 'resetConnection', 'rollbackTransaction'] as const) {
      this.#connection.on(event as never, (value: unknown) => this.observed.push([event, value ?? '']));
    }
    this.#connection.on('charsetChange' as never, () => this.observed.push(['collation']));
    for (const event of ['infoMessage', 'errorMessage'] as const) {
      this.#connection.on(event as never, (message: Message) => this.observed.push([event, ...described(message)]));
    }
    this.#connection.on('error', (error: Error) => this.observed.push(['error', error.name]));
  }

  async connect(): Promise<void> {
    await new Promise<void>((settled) =>
      this.#connection.connect((error) => {
        this.observed.push([error ? 'refused' : 'connected', (error as { code?: string } | undefined)?.code ?? '']);
        settled();
      }),
    );
  }

  async close(): Promise<void> {
    if (this.observed.some(([event]) => event === 'refused')) return;
    await new Promise<void>((closed) => {
      this.#connection.once('end', closed);
      this.#connection.close();
    });
  }

  readonly batch = (text: string): Promise<void> =>
    this.#run(text, (request) => this.#connection.execSqlBatch(request));

  readonly execute = (text: string, parameters: Record<string, number>): Promise<void> =>
    this.#run(text, (request) => {
      for (const [name, value] of Object.entries(parameters)) request.addParameter(name, TYPES.Int, value);
      this.#connection.execSql(request);
    });

  readonly begin = (): Promise<void> => this.#managed('begin', (done) => this.#connection.beginTransaction(done));
  readonly commit = (): Promise<void> => this.#managed('commit', (done) => this.#connection.commitTransaction(done));
  readonly rollback = (): Promise<void> =>
    this.#managed('rollback', (done) => this.#connection.rollbackTransaction(done));
  readonly reset = (): Promise<void> => this.#managed('reset', (done) => this.#connection.reset(done));

  async #managed(name: string, call: (done: (error?: Error | null) => void) => void): Promise<void> {
    await new Promise<void>((settled) =>
      call((error) => {
        this.observed.push([`${name} completed`, error ? numberOf(error) : 'ok']);
        settled();
      }),
    );
  }

  async #run(text: string, send: (request: Request) => void): Promise<void> {
    await new Promise<void>((settled) => {
      const request = new Request(text, (error, rowCount) => {
        this.observed.push(['completed', error ? numberOf(error) : 'ok', rowCount ?? null]);
        settled();
      });
      request.on('columnMetadata', (columns) => {
        const all = Array.isArray(columns) ? columns : Object.values(columns);
        this.observed.push(['columns', ...all.map(({ colName, type }) => `${colName} ${type.name}`)]);
      });
      request.on('row', (columns: { value: unknown }[]) =>
        this.observed.push([
          'row',
          ...columns.map(({ value }) => (value instanceof Date ? value.toISOString() : value)),
        ]),
      );
      for (const event of ['done', 'doneInProc', 'doneProc'] as const) {
        request.on(event as never, (rowCount?: number) => this.observed.push([event, rowCount ?? null]));
      }
      send(request);
    });
  }
}

/** Messages are compared as they are recorded: without quoted names and values, and without the text of applications. */
function described(message: Message): unknown[] {
  const { number, state, class: severity, lineNumber, procName, message: text } = message;
  return [number, state, severity, lineNumber, procName, redactMessage(number, text)];
}

interface Message {
  number: number;
  state: number;
  class: number;
  lineNumber: number;
  procName: string;
  message: string;
}

function numberOf(error: Error): unknown {
  return (error as { number?: number }).number ?? (error as { code?: string }).code;
}

/** Everything that clients notice of a server. */
export interface Observations {
  tedious: Record<string, Observed[]>;
  mssql: Observed[];
}

export async function observe(configFor: ConfigFor): Promise<Observations> {
  return { tedious: await observeWithTedious(configFor), mssql: await observeWithMssql(configFor) };
}

/**
 * The sequence without the texts of messages and the numbers of information, for what the emulator answers itself: it uses
 * the texts of SQL Server.
 */
export function outline(observed: readonly Observed[] = []): Observed[] {
  return observed.map(([event, ...values]) => {
    if (event === 'infoMessage') return [event];
    return event === 'errorMessage' ? [event, ...values.slice(0, 4)] : [event, ...values];
  });
}

/** Runs all steps, each in a session of its own, and returns what tedious reports. */
async function observeWithTedious(configFor: ConfigFor): Promise<Record<string, Observed[]>> {
  const seen: Record<string, Observed[]> = {};
  const logins = {
    'a login': configFor({ database: DATABASES.first }),
    'a login to another database': configFor({ database: DATABASES.second }),
    'a login to a missing database': configFor({ database: DATABASES.missing }),
    'a login with a wrong password': configFor({ database: DATABASES.first, user: 'recorded', password: 'Wrong-1' }),
  };
  for (const [name, config] of Object.entries(logins)) {
    const session = new Session(config);
    await session.connect();
    await session.close();
    seen[name] = session.observed;
  }
  for (const [name, step] of Object.entries({ ...RECORDED_STEPS, ...SESSION_STEPS })) {
    const session = new Session(configFor({ database: DATABASES.first }));
    await session.connect();
    session.observed.length = 0;
    await step(session);
    seen[name] = [...session.observed];
    await session.close();
  }
  return seen;
}

/** What an application sees through mssql. */
async function observeWithMssql(configFor: ConfigFor): Promise<Observed[]> {
  const pool = await new sql.ConnectionPool({
    ...configFor({ database: DATABASES.first }),
    pool: { max: 1 },
  }).connect();
  const seen: Observed[] = [];
  const batch = async (text: string): Promise<void> => {
    const request = pool.request();
    request.on('info', (message) => seen.push(['info', ...described(message as never)]));
    try {
      const { recordsets, rowsAffected } = await request.batch(text);
      seen.push(['answer', JSON.parse(JSON.stringify(recordsets)), rowsAffected]);
    } catch (error) {
      const all = [...((error as { precedingErrors?: sql.RequestError[] }).precedingErrors ?? []), error];
      seen.push(['errors', ...all.map((each) => described(each as never))]);
    }
  };
  await batch("SELECT N'Ada' AS name, 7 AS answers; PRINT 'for mssql'; SELECT 8 AS more");
  await batch('SELECT 6 AS until; SELECT 1 / 0 AS mssql');
  await batch('SELECT * FROM recorded_nothing_for_mssql');
  await batch("RAISERROR('for mssql', 16, 2)");
  const transaction = pool.transaction();
  await transaction.begin();
  seen.push(['answer', (await transaction.request().query('SELECT @@TRANCOUNT AS deep')).recordset[0]]);
  await transaction.rollback();
  await pool.close();
  return seen;
}

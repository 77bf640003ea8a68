import { randomBytes } from 'node:crypto';
import { type SqlGateway, type SqlGatewayOptions, startSqlGateway } from '../gateway/sql-gateway.js';
import { FUNCTION, isRecord, type OptionNames, requireKnownOptions, TEXT } from '../known-options.js';
import { TDS_SERVER_OPTIONS, type TdsServerOptions } from '../server/options.js';
import type { LoggedInClient, OpenSession } from '../server/session-host.js';
import { keep, TdsServer } from '../server/tds-server.js';
import { Recording } from '../traffic/recording.js';
import type { BulkLoadHandler } from './bulk-load.js';
import { type EmulatorContext, openEmulatedSession } from './emulated-session.js';
import {
  type Expectation,
  type ExpectationOptions,
  Expectations,
  type ExpectedAnswer,
  type QueryMatcher,
} from './expectations.js';
import type { QueryHandler } from './query-handler.js';
import type { RecordedQuery } from './recorded-query.js';
import { VERSION_NUMBER } from './server-facts.js';
import type { SqlSession, TransactionHandler } from './session.js';

export interface SqlEmulatorOptions extends TdsServerOptions {
  /** Answers SQL that the emulator does not support. */
  onQuery?: QueryHandler | undefined;
  /**
   * A file written by {@link SqlGateway.recordTraffic}. Logins and queries that it contains are answered from it; statements
   * that change the session (`USE`, `SET`, transactions) and everything else are handled as usual.
   */
  replay?: string | undefined;
  /** Takes the rows of bulk loads. Default: only loads into temporary tables succeed, and their rows are dropped. */
  onBulkLoad?: BulkLoadHandler | undefined;
  /** Called for every transaction event, for an `onQuery` that keeps data. */
  onTransaction?: TransactionHandler | undefined;
}

const OPTIONS: OptionNames<SqlEmulatorOptions & { upstream: undefined }> = {
  ...TDS_SERVER_OPTIONS,
  onQuery: FUNCTION,
  replay: TEXT,
  onBulkLoad: FUNCTION,
  onTransaction: FUNCTION,
  upstream: true,
};

/**
 * Starts a server in this process that speaks TDS and checks tokens as Azure SQL does. docs/testing-sql-emulator.md lists
 * the SQL it answers. With `upstream`, it calls {@link startSqlGateway}.
 *
 * @throws TypeError for conflicting options or an invalid option value; the error of `listen` if the port is taken.
 * @example
 * await using entra = await startEntraEmulator({ tokenLifetimeSeconds: 2 });
 * await using server = await startSqlEmulator({ entra });
 * const pool = await new sql.ConnectionPool(server.config()).connect();
 */
export async function startSqlEmulator(options: SqlGatewayOptions): Promise<SqlGateway>;
export async function startSqlEmulator(options?: SqlEmulatorOptions): Promise<SqlEmulator>;
export async function startSqlEmulator(
  options: SqlEmulatorOptions | SqlGatewayOptions = {},
): Promise<SqlEmulator | SqlGateway> {
  if (isGateway(options)) return await startSqlGateway(options);
  requireKnownOptions('startSqlEmulator', options, OPTIONS);
  const emulator = new SqlEmulator(options);
  await emulator.listen();
  return emulator;
}

function isGateway(options: SqlEmulatorOptions | SqlGatewayOptions): options is SqlGatewayOptions {
  return isRecord(options) && options.upstream !== undefined;
}

/** A running SQL emulator, created by {@link startSqlEmulator}. */
export class SqlEmulator extends TdsServer {
  /** Every query of a session so far, oldest first (the last 100,000). */
  readonly queries: RecordedQuery[] = [];
  readonly #expectations = new Expectations();
  readonly #context: EmulatorContext;
  readonly #recording: Recording | undefined;
  #readOnly = false;

  /** @internal Use {@link startSqlEmulator}. */
  constructor(options: SqlEmulatorOptions) {
    super(options, options.users ?? { sa: `Aa1!${randomBytes(12).toString('base64url')}` });
    const { serverName, onQuery, onBulkLoad, onTransaction, databases = null, now = Date.now } = options;
    const recording = options.replay === undefined ? undefined : Recording.read(options.replay);
    this.#recording = recording;
    this.#context = {
      facts: {
        now,
        serverName: serverName ?? 'emulator',
        version: `Microsoft SQL Server 2022 (RTM) - ${VERSION_NUMBER} (X64) \n\tmssql-token-pool SQL emulator`,
        versionNumber: VERSION_NUMBER,
        databases,
        readOnly: () => this.#readOnly,
      },
      hooks: {
        onQuery,
        onBulkLoad,
        expectations: this.#expectations,
        recording,
        record: (query) => keep(this.queries, query),
      },
      onTransaction,
      sessions: new Set(),
      nextSpid: () => this.nextSpid(),
      running: () => this.running(),
    };
  }

  /**
   * Answers matching queries from now on, ahead of the emulator's own SQL and `onQuery`. If several match, the latest applies.
   *
   * @throws RangeError if `times` is not a whole number.
   * @example
   * const order = server.expect('SELECT * FROM orders WHERE id = @id', [{ id: 7, total: 12.5 }], { parameters: { id: 7 } });
   * server.expect(/^INSERT INTO orders/i, { rowsAffected: 1 }, { times: 1 });
   * server.expect('EXEC close_day', Object.assign(new Error('deadlock'), { number: 1205 }));
   * await runTheApplication();
   * server.verify();
   * assert.equal(order.calls, 1);
   */
  expect(query: QueryMatcher, answer: ExpectedAnswer, options: ExpectationOptions = {}): Expectation {
    return this.#expectations.add(query, answer, options);
  }

  /**
   * Checks that every expectation was met.
   *
   * @throws Error that lists the unmet ones.
   */
  verify(): void {
    const { unmet } = this.#expectations;
    if (unmet.length === 0) return;
    throw new Error(`${unmet.length} of the expected queries did not arrive as expected:\n${unmet.join('\n')}`);
  }

  override reset(): void {
    super.reset();
    this.#expectations.clear();
    this.#recording?.rewind();
    this.queries.length = 0;
    this.#readOnly = false;
  }

  /**
   * Makes the databases read-only, as on the old primary after a failover. `DATABASEPROPERTYEX(..., 'Updateability')` and
   * `sys.databases` report it; `onQuery` has to refuse changes with error 3906.
   */
  setReadOnly(readOnly: boolean): void {
    this.#readOnly = readOnly;
  }

  /** The open sessions, oldest first, with the state that a reset undoes. */
  get sessions(): readonly SqlSession[] {
    return [...this.#context.sessions];
  }

  /** @internal */
  async openSession(client: LoggedInClient): Promise<OpenSession> {
    return openEmulatedSession(client, this.#context);
  }
}

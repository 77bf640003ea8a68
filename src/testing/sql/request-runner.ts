import { INT, type SqlType } from '../tds/data-type.js';
import type { MessageStream } from '../tds/message-stream.js';
import { type Message, PacketStatus, PacketType, ProtocolError } from '../tds/packet.js';
import {
  type RpcParameter,
  type RpcRequest,
  readBulkLoad,
  readRpc,
  readSqlBatch,
  readTransactionRequest,
} from '../tds/request.js';
import { DoneStatus, EnvChange, type Response } from '../tds/response.js';
import { SqlServerError } from '../tds/server-error.js';
import type { Recording } from '../traffic/recording.js';
import { type BulkLoadHandler, bulkLoadTable, takeBulkLoad } from './bulk-load.js';
import { convert } from './conversion.js';
import { endsTransaction, rollBackAfter } from './error-effects.js';
import type { Expectations } from './expectations.js';
import { type Batch, parse, run } from './interpreter.js';
import { parseParameterList } from './parser.js';
import { askHandler, asSqlError, parametersOf, type QueryHandler, requestOf } from './query-handler.js';
import type { RecordedQuery } from './recorded-query.js';
import { replay } from './replay.js';
import { RequestCancelledError } from './request-cancelled.js';
import { type OutputValue, ResponseOutput } from './response-output.js';
import type { ServerFacts } from './server-facts.js';
import { type SessionState, type Variables, variablesOf } from './session.js';
import { ISOLATION_LEVELS } from './session-settings.js';
import type { Statement } from './syntax.js';

/** The query sources that a test has configured. */
export interface QueryHooks {
  readonly onQuery: QueryHandler | undefined;
  readonly onBulkLoad: BulkLoadHandler | undefined;
  readonly expectations: Expectations;
  readonly recording: Recording | undefined;
  record(query: RecordedQuery): void;
}

type QueryRecord = { -readonly [Key in keyof RecordedQuery]: RecordedQuery[Key] };

/** Calls a handler and records whether it answered. */
async function ask(
  by: 'expectation' | 'onQuery',
  handler: QueryHandler,
  batch: Batch,
  query: QueryRecord,
): Promise<number | undefined> {
  query.answeredBy = by;
  const status = await askHandler(handler, query.sql, batch, by === 'onQuery' ? 'onQuery' : 'expect()');
  if (status === undefined) query.answeredBy = undefined;
  return status;
}

/** Answers the requests of one session, one after the other. */
export class RequestRunner {
  readonly #session: SessionState;
  readonly #facts: ServerFacts;
  readonly #hooks: QueryHooks;
  /** The INSERT BULK statement whose rows follow. */
  #bulkLoadTable: string | undefined;
  readonly #messages: MessageStream;
  readonly #newResponse: () => Response;

  constructor(parts: {
    session: SessionState;
    facts: ServerFacts;
    hooks: QueryHooks;
    messages: MessageStream;
    newResponse: () => Response;
  }) {
    this.#session = parts.session;
    this.#facts = parts.facts;
    this.#hooks = parts.hooks;
    this.#messages = parts.messages;
    this.#newResponse = parts.newResponse;
  }

  /** False if the session is over: an error of class 20 or more. */
  async answer(message: Message): Promise<boolean> {
    const response = this.#newResponse();
    if (message.type === PacketType.Attention) {
      this.#acknowledgeAttention(response);
      return true;
    }
    try {
      this.#resetIfRequested(message.status, response);
    } catch (error) {
      if (!(error instanceof SqlServerError)) throw error;
      response.message(error, this.#facts.serverName);
      response.done('done', DoneStatus.Error);
      response.end();
      return error.class < 20;
    }
    const output = new ResponseOutput(response, this.#messages, this.#session, this.#facts.serverName);
    this.#messages.onAttention = () => output.cancel();
    try {
      if ((message.status & PacketStatus.Ignore) !== 0) output.end();
      else await this.#run(message, output);
      response.end();
    } finally {
      this.#messages.onAttention = undefined;
      output.close();
    }
    // The rest of the cancelled response and the attention acknowledgement are two messages; tedious waits for both.
    if (output.attention) this.#acknowledgeAttention(this.#newResponse());
    return !output.fatal;
  }

  #acknowledgeAttention(response: Response): void {
    response.done('done', DoneStatus.Attention);
    response.end();
  }

  #resetIfRequested(status: number, response: Response): void {
    const keepsTransaction = (status & PacketStatus.ResetConnectionSkipTran) !== 0;
    if (!keepsTransaction && (status & PacketStatus.ResetConnection) === 0) return;
    const session = this.#session;
    const descriptor = session.transactionDescriptor;
    if (!keepsTransaction && session.transactionDepth > 0 && session.rollback()) {
      response.envChangeBytes(EnvChange.RollbackTransaction, NOTHING, descriptor);
    }
    const before = session.database;
    session.reset();
    response.envChangeBytes(EnvChange.ResetAck, NOTHING, NOTHING);
    if (before !== session.database) response.envChangeText(EnvChange.Database, session.database, before);
  }

  async #run(message: Message, output: ResponseOutput): Promise<void> {
    const headers = !output.beforeTds72;
    switch (message.type) {
      case PacketType.SqlBatch:
        await this.#runQuery(readSqlBatch(message.body, { headers }), new Map(), output);
        output.end();
        return;
      case PacketType.Rpc:
        output.inProcedure = true;
        await this.#runProcedure(readRpc(message.body, { headers }), output);
        return;
      case PacketType.BulkLoad:
        await this.#runBulkLoad(message.body, output);
        output.end();
        return;
      case PacketType.TransactionManager:
        this.#runTransactionRequest(message.body, output);
        output.end();
        return;
      default:
        throw new ProtocolError(`a message of type ${message.type} is not a request`);
    }
  }

  /**
   * Runs a query. It is answered by an expectation, else by the recording, else by the emulator itself, else by `onQuery`.
   * Returns the return status.
   */
  async #runQuery(
    sql: string,
    variables: Variables,
    output: ResponseOutput,
    understand: () => Statement[] = () => parse(sql),
  ): Promise<number> {
    const batch: Batch = { session: this.#session, variables, output, facts: this.#facts };
    const query = this.#recordOf(sql, variables);
    this.#hooks.record(query);
    const { transactionDepth } = this.#session;
    try {
      const { handler, failure } = this.#hooks.expectations.find({ sql, variables, parameters: query.parameters });
      const status =
        (handler === undefined ? undefined : await ask('expectation', handler, batch, query)) ??
        (await this.#replayed(batch, query)) ??
        (await this.#answered(understand, batch, query, failure));
      if (output.inProcedure) this.#checkTransactionCount(transactionDepth, output);
      query.error = output.error?.number;
      return status;
    } catch (error) {
      if (error instanceof RequestCancelledError) return 0;
      if (!(error instanceof SqlServerError)) throw error;
      query.error = error.number;
      this.#report(error, output);
      output.statementDone();
      return 0;
    }
  }

  /** Runs the query of sp_executesql or of a prepared statement: in a scope of its own, like a procedure. */
  async #runInProcedure(sql: string, variables: Variables, output: ResponseOutput): Promise<number> {
    const session = this.#session;
    const leave = session.enterProcedure();
    try {
      return await this.#runQuery(sql, variables, output);
    } finally {
      const { database, setOptions } = session;
      leave();
      output.restored({ database, language: setOptions.get('LANGUAGE') ?? '' });
    }
  }

  /** SQL Server compares the transaction count at the start and at the end of a procedure. */
  #checkTransactionCount(before: number, output: ResponseOutput): void {
    const { transactionDepth: after } = this.#session;
    const { error } = output;
    const rolledBackByError = after === 0 && error !== undefined && endsTransaction(error, this.#session);
    if (after !== before && !rolledBackByError) this.#report(transactionCountMismatch(before, after), output);
  }

  #report(error: SqlServerError, output: ResponseOutput): void {
    this.#session.lastError = error.number;
    output.message(error);
    rollBackAfter(error, this.#session, output);
  }

  /** Handles the message with the rows, which follows the INSERT BULK statement. */
  async #runBulkLoad(body: Buffer, output: ResponseOutput): Promise<void> {
    const table = this.#bulkLoadTable;
    this.#bulkLoadTable = undefined;
    try {
      if (table === undefined) throw noBulkLoad();
      const load = takeBulkLoad(table, readBulkLoad(body), this.#hooks.onBulkLoad, this.#session, requestOf(output));
      const rows = await output.unlessCancelled(load.catch((error) => Promise.reject(asSqlError(error))));
      this.#session.rowCount = rows;
      output.statementDone(rows);
    } catch (error) {
      if (error instanceof RequestCancelledError) return;
      if (!(error instanceof SqlServerError)) throw error;
      this.#report(error, output);
      output.statementDone();
    }
  }

  async #replayed(batch: Batch, query: QueryRecord): Promise<number | undefined> {
    const { recording } = this.#hooks;
    if (recording === undefined) return undefined;
    const status = await replay(recording, query.sql, batch);
    if (status !== undefined) query.answeredBy = 'recording';
    return status;
  }

  /** `failure`: why an expectation may have missed this query; reported if nothing answers it. */
  async #answered(
    understand: () => Statement[],
    batch: Batch,
    query: QueryRecord,
    failure: Error | undefined,
  ): Promise<number> {
    this.#bulkLoadTable = bulkLoadTable(query.sql);
    if (this.#bulkLoadTable !== undefined) {
      query.answeredBy = 'emulator';
      batch.output.statementDone();
      return 0;
    }
    let statements: Statement[];
    try {
      statements = understand();
    } catch (unknown) {
      if (!(unknown instanceof SqlServerError)) throw unknown;
      const { onQuery } = this.#hooks;
      const status = onQuery === undefined ? undefined : await ask('onQuery', onQuery, batch, query);
      if (status === undefined) throw failure === undefined ? unknown : asSqlError(failure);
      return status;
    }
    query.answeredBy = 'emulator';
    await run(statements, batch);
    return 0;
  }

  #recordOf(sql: string, variables: Variables): QueryRecord {
    const { spid, principal, database } = this.#session;
    const parameters = parametersOf(variables);
    return {
      time: this.#facts.now(),
      sql,
      parameters,
      spid,
      principal,
      database,
      answeredBy: undefined,
      error: undefined,
    };
  }

  async #runProcedure(request: RpcRequest, output: ResponseOutput): Promise<void> {
    try {
      const { status, outputs } = await this.#callProcedure(request, output);
      output.endProcedure(status, outputs);
    } catch (error) {
      if (!(error instanceof SqlServerError)) throw error;
      this.#report(error, output);
      output.endProcedure(error.number, []);
    }
  }

  async #callProcedure({ procedure, parameters }: RpcRequest, output: ResponseOutput): Promise<ProcedureResult> {
    switch (procedure.toLowerCase()) {
      case 'sp_executesql': {
        const variables = declared(textOf(parameters[1]), parameters.slice(2));
        const status = await this.#runInProcedure(textOf(parameters[0]), variables, output);
        return { status, outputs: outputsOf(parameters.slice(2), variables) };
      }
      case 'sp_prepare': {
        const handle = this.#session.prepare({
          parameters: parseParameterList(textOf(parameters[1])),
          sql: textOf(parameters[2]),
        });
        return { status: 0, outputs: [{ ordinal: 0, name: parameters[0]?.name ?? '', type: INT, value: handle }] };
      }
      case 'sp_execute': {
        const statement = this.#session.prepared(handleOf(parameters[0]));
        const variables = bindParameters(statement.parameters, parameters.slice(1));
        const status = await this.#runInProcedure(statement.sql, variables, output);
        return { status, outputs: outputsOf(parameters.slice(1), variables) };
      }
      case 'sp_prepexec': {
        const statement = { parameters: parseParameterList(textOf(parameters[1])), sql: textOf(parameters[2]) };
        const handle = this.#session.prepare(statement);
        const variables = bindParameters(statement.parameters, parameters.slice(3));
        const status = await this.#runInProcedure(statement.sql, variables, output);
        const outputs = outputsOf(parameters.slice(3), variables);
        const first = { ordinal: 0, name: parameters[0]?.name ?? '', type: INT, value: handle };
        return { status, outputs: [first, ...outputs] };
      }
      case 'sp_unprepare':
        this.#session.unprepare(handleOf(parameters[0]));
        return { status: 0, outputs: [] };
      case 'sp_reset_connection':
        this.#session.reset();
        return { status: 0, outputs: [] };
      default: {
        const variables = variablesOf(parameters.filter(({ name }) => name !== ''));
        const status = await this.#runQuery(`EXEC ${procedure}`, variables, output, () => {
          throw noSuchProcedure(procedure);
        });
        return { status, outputs: outputsOf(parameters, variables) };
      }
    }
  }

  #runTransactionRequest(body: Buffer, output: ResponseOutput): void {
    const request = readTransactionRequest(body);
    const session = this.#session;
    try {
      switch (request.kind) {
        case 'begin':
          session.isolationLevel = ISOLATION_LEVELS[request.isolationLevel - 1] ?? session.isolationLevel;
          if (session.begin(request.name)) output.transaction('begin');
          break;
        case 'commit':
          if (session.commit()) output.transaction('commit');
          break;
        case 'rollback':
          if (session.rollback(request.name)) output.transaction('rollback');
          break;
        case 'save':
          session.save(request.name);
          break;
      }
      if (request.kind !== 'begin' && request.kind !== 'save' && request.beginNext && session.begin()) {
        output.transaction('begin');
      }
    } catch (error) {
      if (!(error instanceof SqlServerError)) throw error;
      output.message(error);
    }
  }
}

const NOTHING = Buffer.alloc(0);

interface ProcedureResult {
  status: number;
  outputs: OutputValue[];
}

function textOf(parameter: RpcParameter | undefined): string {
  if (parameter === undefined || parameter.value === null) return '';
  if (typeof parameter.value !== 'string') throw new ProtocolError('a statement has to be text');
  return parameter.value;
}

function handleOf(parameter: RpcParameter | undefined): number {
  if (parameter === undefined) throw new ProtocolError('a handle is missing');
  return Number(convert(parameter.value, parameter.type, INT));
}

/** The variables of a statement whose parameters are declared as text and sent by name. */
function declared(declarations: string, parameters: readonly RpcParameter[]): Variables {
  return bindParameters(parseParameterList(declarations), parameters);
}

function bindParameters(
  declarations: readonly { name: string; type: SqlType }[],
  parameters: readonly RpcParameter[],
): Variables {
  const variables: Variables = new Map();
  declarations.forEach(({ name, type }, i) => {
    const sent =
      parameters.find((parameter) => parameter.name.toLowerCase() === name.toLowerCase()) ?? byPosition(parameters, i);
    if (sent === undefined) throw missingParameter(name);
    const value = type.name === 'table' ? sent.value : convert(sent.value, sent.type, type);
    variables.set(name.toLowerCase(), { name, type, value });
  });
  return variables;
}

function byPosition(parameters: readonly RpcParameter[], index: number): RpcParameter | undefined {
  const parameter = parameters[index];
  return parameter?.name === '' ? parameter : undefined;
}

function outputsOf(parameters: readonly RpcParameter[], variables: Variables): OutputValue[] {
  return parameters.flatMap((parameter, ordinal) => {
    if (!parameter.output) return [];
    const { type, value } = variables.get(parameter.name.toLowerCase()) ?? parameter;
    return [{ ordinal, name: parameter.name, type, value }];
  });
}

function missingParameter(name: string): SqlServerError {
  return new SqlServerError({
    number: 8178,
    message: `The parameterized query expects the parameter '${name}', which was not supplied.`,
  });
}

function transactionCountMismatch(before: number, after: number): SqlServerError {
  return new SqlServerError({
    number: 266,
    class: 16,
    state: 2,
    message: `Transaction count after EXECUTE indicates a mismatching number of BEGIN and COMMIT statements. Previous count = ${before}, current count = ${after}.`,
  });
}

function noBulkLoad(): SqlServerError {
  return new SqlServerError({ number: 4002, class: 16, message: 'The rows of a bulk load came without INSERT BULK.' });
}

function noSuchProcedure(name: string): SqlServerError {
  return new SqlServerError({ number: 2812, state: 62, message: `Could not find stored procedure '${name}'.` });
}

import { convert } from '../tsql/conversion.js';
import { type Batch, type Output, parse, run, type ServerFacts } from '../tsql/interpreter.js';
import { parseParameterList } from '../tsql/parser.js';
import { askHandler, type QueryHandler } from '../tsql/query-handler.js';
import { type Session, type TransactionEvent, type Variables, variablesOf } from '../tsql/session.js';
import type { Statement } from '../tsql/syntax.js';
import { INT, type Scalar, type SqlType } from './data-type.js';
import type { MessageStream } from './message-stream.js';
import { type Message, PacketStatus, PacketType, ProtocolError } from './packet.js';
import { type RpcParameter, type RpcRequest, readRpc, readSqlBatch, readTransactionRequest } from './request.js';
import { type Column, type DoneKind, DoneStatus, EnvChange, type Response } from './response.js';
import { SqlServerError as ServerError } from './server-error.js';

/** Answers the requests of one session, one after the other. */
export class RequestRunner {
  readonly #session: Session;
  readonly #facts: ServerFacts;
  readonly #onQuery: QueryHandler | undefined;
  readonly #messages: MessageStream;
  readonly #newResponse: () => Response;

  constructor(parts: {
    session: Session;
    facts: ServerFacts;
    onQuery: QueryHandler | undefined;
    messages: MessageStream;
    newResponse: () => Response;
  }) {
    this.#session = parts.session;
    this.#facts = parts.facts;
    this.#onQuery = parts.onQuery;
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
    this.#resetIfAsked(message.status, response);
    const output = new ResponseOutput(response, this.#messages, this.#session, this.#facts.serverName);
    this.#messages.onAttention = () => output.cancel();
    try {
      if ((message.status & PacketStatus.Ignore) !== 0) output.end();
      else await this.#run(message, output);
      response.end();
    } finally {
      this.#messages.onAttention = undefined;
    }
    // The answer to the cancelled request and the word that it was cancelled are two messages: tedious waits for both.
    if (output.cancelled) this.#acknowledgeAttention(this.#newResponse());
    return !output.fatal;
  }

  #acknowledgeAttention(response: Response): void {
    response.done('done', DoneStatus.Attention);
    response.end();
  }

  #resetIfAsked(status: number, response: Response): void {
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
    switch (message.type) {
      case PacketType.SqlBatch:
        await this.#runSql(readSqlBatch(message.body), new Map(), output);
        output.end();
        return;
      case PacketType.Rpc:
        output.inProcedure = true;
        await this.#runProcedure(readRpc(message.body), output);
        return;
      case PacketType.TransactionManager:
        this.#runTransactionRequest(message.body, output);
        output.end();
        return;
      default:
        throw new ProtocolError(`a message of type ${message.type} is not a request`);
    }
  }

  /** Runs a batch; SQL the emulator does not understand goes to `onQuery`. Gives the return status. */
  async #runSql(sql: string, variables: Variables, output: ResponseOutput): Promise<number> {
    const batch: Batch = { session: this.#session, variables, output, facts: this.#facts };
    let statements: Statement[];
    try {
      statements = parse(sql);
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      return await this.#askHandler(sql, batch, error);
    }
    await run(statements, batch);
    return 0;
  }

  async #askHandler(sql: string, batch: Batch, unknown: ServerError): Promise<number> {
    try {
      const status = this.#onQuery === undefined ? undefined : await askHandler(this.#onQuery, sql, batch);
      if (status !== undefined) return status;
      throw unknown;
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      batch.session.lastError = error.number;
      batch.output.message(error);
      batch.output.statementDone();
      return 0;
    }
  }

  async #runProcedure({ procedure, parameters }: RpcRequest, output: ResponseOutput): Promise<void> {
    switch (procedure.toLowerCase()) {
      case 'sp_executesql': {
        const variables = declared(textOf(parameters[1]), parameters.slice(2));
        const status = await this.#runSql(textOf(parameters[0]), variables, output);
        output.endProcedure(status, outputsOf(parameters.slice(2), variables));
        return;
      }
      case 'sp_prepare': {
        const handle = this.#session.prepare({
          parameters: parseParameterList(textOf(parameters[1])),
          sql: textOf(parameters[2]),
        });
        output.endProcedure(0, [{ ordinal: 0, name: parameters[0]?.name ?? '', type: INT, value: handle }]);
        return;
      }
      case 'sp_execute': {
        const statement = this.#session.prepared(handleOf(parameters[0]));
        const variables = bindParameters(statement.parameters, parameters.slice(1));
        const status = await this.#runSql(statement.sql, variables, output);
        output.endProcedure(status, outputsOf(parameters.slice(1), variables));
        return;
      }
      case 'sp_prepexec': {
        const statement = { parameters: parseParameterList(textOf(parameters[1])), sql: textOf(parameters[2]) };
        const handle = this.#session.prepare(statement);
        const variables = bindParameters(statement.parameters, parameters.slice(3));
        const status = await this.#runSql(statement.sql, variables, output);
        const outputs = outputsOf(parameters.slice(3), variables);
        const first = { ordinal: 0, name: parameters[0]?.name ?? '', type: INT, value: handle };
        output.endProcedure(status, [first, ...outputs]);
        return;
      }
      case 'sp_unprepare':
        this.#session.unprepare(handleOf(parameters[0]));
        output.endProcedure(0, []);
        return;
      case 'sp_reset_connection':
        this.#session.reset();
        output.endProcedure(0, []);
        return;
      default: {
        const variables = variablesOf(parameters.filter(({ name }) => name !== ''));
        const batch: Batch = { session: this.#session, variables, output, facts: this.#facts };
        const status = await this.#askHandler(`EXEC ${procedure}`, batch, noSuchProcedure(procedure));
        output.endProcedure(status, outputsOf(parameters, variables));
      }
    }
  }

  #runTransactionRequest(body: Buffer, output: ResponseOutput): void {
    const request = readTransactionRequest(body);
    const session = this.#session;
    try {
      switch (request.kind) {
        case 'begin':
          session.isolationLevel = ISOLATION_LEVELS[request.isolationLevel] ?? session.isolationLevel;
          if (session.begin()) output.transaction('begin');
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
      if (!(error instanceof ServerError)) throw error;
      output.message(error);
    }
  }
}

const NOTHING = Buffer.alloc(0);
const ISOLATION_LEVELS: Record<number, string> = {
  1: 'READ UNCOMMITTED',
  2: 'READ COMMITTED',
  3: 'REPEATABLE READ',
  4: 'SERIALIZABLE',
  5: 'SNAPSHOT',
};

interface OutputValue {
  ordinal: number;
  name: string;
  type: SqlType;
  value: Scalar;
}

/** Turns what statements produce into tokens. */
class ResponseOutput implements Output {
  readonly #response: Response;
  readonly #messages: MessageStream;
  readonly #session: Session;
  readonly #serverName: string;
  #unfinished: { status: number; rows: number | undefined } | undefined;
  #failed = false;
  #onCancel: (() => void) | undefined;
  inProcedure = false;
  cancelled = false;
  /** An error of class 20 or more was sent. */
  fatal = false;

  constructor(response: Response, messages: MessageStream, session: Session, serverName: string) {
    this.#response = response;
    this.#messages = messages;
    this.#session = session;
    this.#serverName = serverName;
  }

  cancel(): void {
    this.cancelled = true;
    this.#onCancel?.();
  }

  resultSet(columns: readonly Column[]): (row: readonly Scalar[]) => void {
    this.#flushDone(DoneStatus.More);
    this.#response.columns(columns);
    return this.#response.rowWriter(columns.map(({ type }) => type));
  }

  statementDone(rows?: number): void {
    this.#flushDone(DoneStatus.More);
    this.#unfinished = { status: this.#failed ? DoneStatus.Error : 0, rows };
    this.#failed = false;
  }

  message(error: ServerError): void {
    this.#flushDone(DoneStatus.More);
    if (error.class > 10) this.#failed = true;
    if (error.class >= 20) this.fatal = true;
    this.#response.message(error, this.#serverName);
  }

  transaction(event: TransactionEvent): void {
    this.#flushDone(DoneStatus.More);
    const descriptor = this.#session.transactionDescriptor;
    if (event === 'begin') this.#response.envChangeBytes(EnvChange.BeginTransaction, descriptor, NOTHING);
    else if (event === 'commit') this.#response.envChangeBytes(EnvChange.CommitTransaction, NOTHING, descriptor);
    else this.#response.envChangeBytes(EnvChange.RollbackTransaction, NOTHING, descriptor);
  }

  databaseChanged(from: string, to: string): void {
    this.#flushDone(DoneStatus.More);
    this.#response.envChangeText(EnvChange.Database, to, from);
    const message = `Changed database context to '${to}'.`;
    this.#response.message(new ServerError({ number: 5701, state: 2, class: 0, message }), this.#serverName);
  }

  drained(): Promise<void> | undefined {
    return this.#messages.drained();
  }

  delay(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#onCancel = undefined;
        resolve();
      };
      const timer = setTimeout(finish, ms);
      this.#onCancel = finish;
      this.#messages.onEnd = finish;
    });
  }

  /** Ends a batch: its last DONE says that nothing more comes. */
  end(): void {
    if (this.#unfinished === undefined) this.statementDone();
    this.#flushDone(0);
  }

  /** Ends a procedure call. */
  endProcedure(status: number, outputs: readonly OutputValue[]): void {
    const failed = this.#failed || this.#unfinished?.status === DoneStatus.Error;
    this.#flushDone(DoneStatus.More);
    this.#response.returnStatus(status);
    for (const { ordinal, name, type, value } of outputs) this.#response.returnValue(ordinal, name, type, value);
    this.#response.done('doneProc', failed ? DoneStatus.Error : 0);
  }

  #flushDone(more: number): void {
    if (this.#unfinished === undefined) return;
    const { status, rows } = this.#unfinished;
    this.#unfinished = undefined;
    const kind: DoneKind = this.inProcedure ? 'doneInProc' : 'done';
    const inTransaction = this.#session.transactionDepth > 0 ? DoneStatus.InTransaction : 0;
    this.#response.done(kind, status | more | inTransaction, rows);
  }
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

/** Variables of a statement whose parameters are declared in text and sent by name. */
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
    variables.set(name.toLowerCase(), { type, value });
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

function missingParameter(name: string): ServerError {
  return new ServerError({
    number: 8178,
    message: `The parameterized query expects the parameter '${name}', which was not supplied.`,
  });
}

function noSuchProcedure(name: string): ServerError {
  return new ServerError({ number: 2812, state: 62, message: `Could not find stored procedure '${name}'.` });
}

import { appendFileSync, writeFileSync } from 'node:fs';
import { requireKnownOptions } from '../known-options.js';
import type { Scalar, SqlType } from '../tds/data-type.js';
import { typeText } from '../tds/data-type.js';
import { MessageAssembler, PacketSplitter, PacketType, ProtocolError } from '../tds/packet.js';
import { type RpcParameter, type RpcRequest, readRpc, readSqlBatch } from '../tds/request.js';
import { type ResponseToken, readResponse } from '../tds/response-reader.js';
import type { SqlServerError } from '../tds/server-error.js';
import {
  type AnswerPart,
  HEADER,
  type RecordedEntry,
  type RecordedMessage,
  type RecordedStatement,
} from './recording.js';
import { redactMessage, redactValue } from './redact-value.js';
import { quotedIdentifierSettings, withoutLiterals } from './statement-key.js';
import { toTextValue } from './value-text.js';

/** What to keep of a gateway's recorded traffic. */
export interface RecordOptions {
  /**
   * Columns and output parameters whose values are stored unchanged. Default: none; every value is replaced by one of the
   * same type and length, and quoted values are removed from the server's messages. `true` stores all values and messages.
   */
  keep?: true | readonly string[] | ((column: { name: string; type: string }) => boolean) | undefined;
}

/** A recording in progress. */
export interface TrafficRecording extends Disposable {
  readonly file: string;
  /** Logins and queries stored so far. */
  readonly entries: number;
  /** Answers that could not be stored, with the reason: an unsupported feature, or a size above 16 MiB. */
  readonly skipped: readonly { query: string; reason: string }[];
  /** Ends the recording and completes the file. */
  stop(): void;
}

/** Maximum size of a stored request or answer. */
const MESSAGE_LIMIT = 16 * 1024 * 1024;

/** Writes a server's answers to a file as they arrive. */
export class TrafficRecorder implements TrafficRecording {
  readonly file: string;
  readonly skipped: { query: string; reason: string }[] = [];
  readonly #keeps: (column: { name: string; type: string }) => boolean;
  readonly #keepsMessages: boolean;
  #entries = 0;
  #stopped = false;

  /** @throws the error of `fs` if the file cannot be written. */
  constructor(file: string, options: RecordOptions = {}) {
    requireKnownOptions('recordTraffic', options, { keep: true });
    const { keep = [] } = options;
    requireKeep(keep);
    this.file = file;
    this.#keepsMessages = keep === true;
    const names = Array.isArray(keep) ? new Set(keep.map((name: string) => name.toLowerCase())) : undefined;
    this.#keeps =
      typeof keep === 'function'
        ? keep
        : keep === true
          ? () => true
          : ({ name }) => names?.has(name.toLowerCase()) ?? false;
    writeFileSync(file, `${JSON.stringify(HEADER)}\n`);
  }

  get entries(): number {
    return this.#entries;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  stop(): void {
    this.#stopped = true;
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  /** The server's answer to a login, token by token. */
  login(database: string, body: Buffer): void {
    this.#store(`login to ${database || 'the default database'}`, () => ({
      login: database,
      answer: this.#answer(readResponse(body)).parts,
    }));
  }

  /** `sql`: the statement without its literals. */
  statement(sql: string, parameters: readonly string[], body: Buffer): void {
    this.#store(sql, () => {
      const { parts, returnStatus, outputs } = this.#answer(readResponse(body));
      return { query: sql, parameters: [...parameters], answer: parts, returnStatus, outputs };
    });
  }

  /** `query`: the statement without its literals. */
  skip(query: string, reason: string): void {
    if (!this.#stopped) this.skipped.push({ query, reason });
  }

  #store(query: string, entry: () => RecordedEntry): void {
    if (this.#stopped) return;
    try {
      appendFileSync(this.file, `${JSON.stringify(entry())}\n`);
      this.#entries += 1;
    } catch (error) {
      // A recording must not disturb the traffic: a full disk or an unsupported token is only noted.
      this.skipped.push({ query, reason: (error as Error).message });
    }
  }

  #answer(
    tokens: Iterable<ResponseToken>,
  ): Pick<RecordedStatement, 'returnStatus' | 'outputs'> & { parts: AnswerPart[] } {
    const parts: AnswerPart[] = [];
    const outputs: NonNullable<RecordedStatement['outputs']> = {};
    let returnStatus: number | undefined;
    let write: ((values: Scalar[]) => void) | undefined;
    for (const token of tokens) {
      switch (token.kind) {
        case 'columns': {
          const columns = token.columns.map(({ name, type }) => ({ name, type: typeText(type) }));
          const texts = token.columns.map(({ name, type }) => this.#writer(name, type));
          const rows: ReturnType<typeof toTextValue>[][] = [];
          write = (values) => void rows.push(values.map((value, i) => (texts[i] as (value: Scalar) => never)(value)));
          parts.push({ columns, rows });
          break;
        }
        case 'row':
          write?.(token.values);
          break;
        case 'message':
          parts.push({ message: this.#message(token.error) });
          break;
        case 'done':
          // A replayed call ends by itself.
          if (!token.endsCall) parts.push({ rowsAffected: token.rows ?? null });
          break;
        case 'environment':
          parts.push({ environment: token.change, value: token.value, before: token.before });
          break;
        case 'loginAck':
          parts.push({ server: token.program, version: token.version });
          break;
        case 'returnStatus':
          // The status is data like any other, but whether the call failed is not.
          if (token.status !== 0)
            returnStatus = this.#keeps({ name: 'RETURN_STATUS', type: 'int' }) ? token.status : Math.sign(token.status);
          break;
        case 'returnValue': {
          const { name, type, value } = token;
          outputs[bare(name)] = { type: typeText(type), value: this.#writer(bare(name), type)(value) };
          break;
        }
      }
    }
    return { parts, returnStatus, outputs: Object.keys(outputs).length === 0 ? undefined : outputs };
  }

  #writer(name: string, type: SqlType): (value: Scalar) => ReturnType<typeof toTextValue> {
    const keeps = this.#keeps({ name, type: typeText(type) });
    return (value) => toTextValue(keeps ? value : redactValue(value, type), type);
  }

  #message(error: SqlServerError): RecordedMessage {
    const { number, state, class: severity, procName, lineNumber, message } = error;
    const text = this.#keepsMessages ? message : redactMessage(number, message);
    return { number, state, class: severity, procName, lineNumber, text };
  }
}

/** A request to record. */
interface Asked {
  sql: string;
  parameters: string[];
  /** The output parameter that holds the handle of a prepared statement. */
  prepares?: string | undefined;
}

/** Observes one session and pairs each request with its answer. */
export class SessionTap {
  readonly #recorder: TrafficRecorder;
  readonly #requests = new PacketSplitter((packet) => this.#assembleRequest.push(packet));
  readonly #answers = new PacketSplitter((packet) => this.#assembleAnswer.push(packet));
  readonly #assembleRequest = new MessageAssembler(MESSAGE_LIMIT, (message) => this.#onRequest(message));
  readonly #assembleAnswer = new MessageAssembler(MESSAGE_LIMIT, ({ body }) => this.#onAnswer(body));
  /** Prepared statements by handle. */
  readonly #prepared = new Map<number, string>();
  #asked: Asked | undefined;
  #off = false;
  /** QUOTED_IDENTIFIER is OFF, as far as is known: set by a statement, or the default of clients that are not ODBC. */
  #quotesAreLiterals: boolean;

  constructor(recorder: TrafficRecorder, { quotedIdentifier = true } = {}) {
    this.#recorder = recorder;
    this.#quotesAreLiterals = !quotedIdentifier;
  }

  /** Bytes from the client. */
  request(chunk: Buffer): void {
    this.#listen(() => this.#requests.push(chunk));
  }

  /** Bytes from the server. */
  answer(chunk: Buffer): void {
    this.#listen(() => this.#answers.push(chunk));
  }

  #listen(take: () => void): void {
    if (this.#off || this.#recorder.stopped) return;
    try {
      take();
    } catch (error) {
      // From here on, requests and answers can no longer be paired.
      this.#off = true;
      this.#recorder.skip(this.#asked?.sql ?? 'the rest of a session', (error as Error).message);
    }
  }

  #onRequest({ type, body }: { type: number; body: Buffer }): void {
    if (type === PacketType.Attention) this.#asked = undefined;
    else if (type === PacketType.SqlBatch) this.#asked = this.#redacted({ sql: readSqlBatch(body), parameters: [] });
    else if (type === PacketType.Rpc) this.#asked = this.#redacted(this.#called(body));
    else this.#asked = undefined;
  }

  /** Removes literals; in doubt, text in double quotes counts as one. */
  #redacted(asked: Asked | undefined): Asked | undefined {
    if (asked === undefined) return undefined;
    const { sql, prepares } = asked;
    const settings = quotedIdentifierSettings(prepares ?? sql);
    const areLiterals = this.#quotesAreLiterals || settings.includes('off');
    const last = settings.at(-1);
    if (last !== undefined) this.#quotesAreLiterals = last === 'off';
    return {
      ...asked,
      sql: withoutLiterals(sql, { areLiterals }),
      prepares: prepares && withoutLiterals(prepares, { areLiterals }),
    };
  }

  #called(body: Buffer): Asked | undefined {
    let request: RpcRequest;
    try {
      request = readRpc(body);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#recorder.skip('a procedure call', error.message);
      return undefined;
    }
    const { procedure, parameters } = request;
    switch (procedure.toLowerCase()) {
      case 'sp_executesql':
        return { sql: textOf(parameters[0]), parameters: namesOf(parameters.slice(2)) };
      case 'sp_prepare':
        return { sql: '', parameters: [], prepares: textOf(parameters[2]) };
      case 'sp_prepexec': {
        const sql = textOf(parameters[2]);
        return { sql, parameters: namesOf(parameters.slice(3)), prepares: sql };
      }
      case 'sp_execute': {
        const known = this.#prepared.get(Number(parameters[0]?.value));
        return known === undefined ? undefined : { sql: known, parameters: namesOf(parameters.slice(1)) };
      }
      case 'sp_unprepare':
      case 'sp_reset_connection':
        return undefined;
      default:
        return { sql: `EXEC ${procedure}`, parameters: namesOf(parameters) };
    }
  }

  #onAnswer(body: Buffer): void {
    const asked = this.#asked;
    this.#asked = undefined;
    if (asked === undefined) return;
    if (asked.prepares !== undefined) this.#notePrepared(asked.prepares, body);
    if (asked.sql !== '') this.#recorder.statement(asked.sql, asked.parameters, body);
  }

  #notePrepared(sql: string, body: Buffer): void {
    for (const token of readResponse(body)) {
      if (token.kind === 'returnValue') {
        this.#prepared.set(Number(token.value), sql);
        return;
      }
    }
  }
}

function textOf(parameter: RpcParameter | undefined): string {
  return typeof parameter?.value === 'string' ? parameter.value : '';
}

function namesOf(parameters: readonly RpcParameter[]): string[] {
  return parameters.map(({ name }) => bare(name)).filter((name) => name !== '');
}

function bare(name: string): string {
  return name.replace(/^@/, '');
}

function requireKeep(keep: unknown): void {
  if (keep === true || typeof keep === 'function') return;
  if (Array.isArray(keep) && keep.every((name) => typeof name === 'string')) return;
  throw new TypeError("recordTraffic: 'keep' must be true, an array of column names, or a function of { name, type }.");
}

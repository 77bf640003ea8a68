import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Scalar, SqlType } from '../tds/data-type.js';
import type { MessageStream } from '../tds/message-stream.js';
import { type Column, type DoneKind, DoneStatus, EnvChange, type Response } from '../tds/response.js';
import type { SqlServerError } from '../tds/server-error.js';
import type { Output } from './interpreter.js';
import { columnFor, outputFor } from './older-clients.js';
import { RequestCancelledError } from './request-cancelled.js';
import type { SessionState, TransactionEvent } from './session.js';

/** The value of an output parameter. */
export interface OutputValue {
  ordinal: number;
  name: string;
  type: SqlType;
  value: Scalar;
}

const NOTHING = Buffer.alloc(0);

/** Encodes the output of statements as tokens. */
export class ResponseOutput implements Output {
  readonly #response: Response;
  readonly #messages: MessageStream;
  readonly #session: SessionState;
  readonly #serverName: string;
  #unfinished: { status: number; rows: number | undefined } | undefined;
  #failed = false;
  #onCancel: (() => void) | undefined;
  #abort: { controller: AbortController; stopListening: () => void } | undefined;
  inProcedure = false;
  #cancelled = false;
  #closed = false;
  /** The last error that was sent. */
  error: SqlServerError | undefined;
  /** An error of class 20 or more was sent. */
  fatal = false;

  constructor(response: Response, messages: MessageStream, session: SessionState, serverName: string) {
    this.#response = response;
    this.#messages = messages;
    this.#session = session;
    this.#serverName = serverName;
  }

  get beforeTds72(): boolean {
    return this.#response.beforeTds72;
  }

  /** The client cancelled the request. */
  get attention(): boolean {
    return this.#cancelled;
  }

  get cancelled(): boolean {
    return this.#cancelled || this.#messages.gone;
  }

  cancel(): void {
    this.#cancelled = true;
    this.#onCancel?.();
    this.#abort?.controller.abort(new RequestCancelledError());
  }

  /** Created for the handlers that ask for it. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const controller = new AbortController();
      const abort = (): void => controller.abort(new RequestCancelledError());
      const stopListening = this.#closed ? (): void => {} : this.#messages.onceGone(abort);
      this.#abort = { controller, stopListening };
      if (this.#closed ? this.#cancelled : this.cancelled) abort();
    }
    return this.#abort.controller.signal;
  }

  /** Ends the request: its signal no longer changes. */
  close(): void {
    this.#closed = true;
    this.#abort?.stopListening();
  }

  resultSet(columns: readonly Column[]): (row: readonly Scalar[]) => void {
    this.#flushDone(DoneStatus.More);
    const sent = columns.map(({ name, type }) => ({ name, ...columnFor(type, this.#response.tdsVersion) }));
    this.#response.columns(sent);
    const write = this.#response.rowWriter(sent.map(({ type }) => type));
    const isSame = sent.every(({ type }, i) => type === columns[i]?.type);
    return isSame ? write : (row) => write(row.map((value, i) => sent[i]?.from(value) ?? null));
  }

  statementDone(rows?: number): void {
    this.#flushDone(DoneStatus.More);
    const counted = this.#session.setOptions.get('NOCOUNT') === 'ON' ? undefined : rows;
    this.#unfinished = { status: this.#failed ? DoneStatus.Error : 0, rows: counted };
    this.#failed = false;
  }

  message(error: SqlServerError): void {
    this.#flushDone(DoneStatus.More);
    if (error.class > 10) {
      this.#failed = true;
      this.error = error;
    }
    if (error.class >= 20) this.fatal = true;
    this.#response.message(error, this.#serverName);
  }

  transaction(event: TransactionEvent): void {
    this.#flushDone(DoneStatus.More);
    // Clients before TDS 7.2 do not know transactions.
    if (this.#response.beforeTds72) return;
    const descriptor = this.#session.transactionDescriptor;
    if (event === 'begin') this.#response.envChangeBytes(EnvChange.BeginTransaction, descriptor, NOTHING);
    else if (event === 'commit') this.#response.envChangeBytes(EnvChange.CommitTransaction, NOTHING, descriptor);
    else this.#response.envChangeBytes(EnvChange.RollbackTransaction, NOTHING, descriptor);
  }

  databaseChanged(from: string, to: string): void {
    this.#flushDone(DoneStatus.More);
    this.#response.envChangeText(EnvChange.Database, to, from);
    const message = `Changed database context to '${to}'.`;
    this.#information(5701, 2, message);
  }

  languageChanged(from: string, to: string): void {
    this.#flushDone(DoneStatus.More);
    this.#response.envChangeText(EnvChange.Language, to, from);
    const message = `Changed language setting to ${to}.`;
    this.#information(5703, 1, message);
  }

  /** Reports the database and language that are in effect again after a procedure, without a message. */
  restored(was: { database: string; language: string }): void {
    const { database, setOptions } = this.#session;
    const language = setOptions.get('LANGUAGE') ?? '';
    if (database === was.database && language === was.language) return;
    this.#flushDone(DoneStatus.More);
    if (database !== was.database) this.#response.envChangeText(EnvChange.Database, database, was.database);
    if (language !== was.language) this.#response.envChangeText(EnvChange.Language, language, was.language);
  }

  #information(number: number, state: number, message: string): void {
    this.#response.message({ number, state, class: 0, message, procName: '', lineNumber: 1 }, this.#serverName);
  }

  async turn(): Promise<void> {
    await nextTurn();
    await this.#messages.drained();
  }

  async unlessCancelled<T>(work: T | PromiseLike<T>): Promise<T> {
    if (!isPromiseLike(work)) return work;
    let remove = (): void => {};
    try {
      return await new Promise<T>((resolve, reject) => {
        const stop = (): void => reject(new RequestCancelledError());
        this.#onCancel = stop;
        remove = this.#messages.onceGone(stop);
        if (this.cancelled) stop();
        work.then(resolve, reject);
      });
    } finally {
      this.#onCancel = undefined;
      remove();
    }
  }

  delay(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        remove();
        this.#onCancel = undefined;
        resolve();
      };
      const timer = setTimeout(finish, ms);
      this.#onCancel = finish;
      const remove = this.#messages.onceGone(finish);
    });
  }

  /** Ends a batch: its last DONE does not have the "more" flag. */
  end(): void {
    this.#rollBackIfCancelled();
    if (this.#unfinished === undefined) this.statementDone();
    this.#flushDone(0);
  }

  /** Ends a procedure call. */
  endProcedure(status: number, outputs: readonly OutputValue[]): void {
    this.#rollBackIfCancelled();
    const failed = this.#failed || this.#unfinished?.status === DoneStatus.Error;
    this.#flushDone(DoneStatus.More);
    this.#response.returnStatus(status);
    for (const { ordinal, name, type, value } of outputs) {
      const sent = outputFor(type, this.#response.tdsVersion);
      this.#response.returnValue(ordinal, name, sent.type, sent.from(value));
    }
    this.#response.done('doneProc', failed ? DoneStatus.Error : 0);
  }

  /** Under XACT_ABORT, a cancel rolls the transaction back like an error. */
  #rollBackIfCancelled(): void {
    const session = this.#session;
    if (!this.#cancelled || !session.abortsOnError || session.transactionDepth === 0) return;
    session.rollback();
    this.transaction('rollback');
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

function isPromiseLike<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionPool, Transaction } from 'mssql';

const THINK_MS = 15;
/** One in this many units of work is a transaction. */
const TRANSACTION_EVERY = 5;

/** Callers that query a pool in a loop, and their results. */
export class Workload {
  readonly #pool: ConnectionPool;
  #running = 0;
  #stopped = false;
  #gate: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;
  queries = 0;
  worstWaitMs = 0;
  /** What went wrong and when, epoch ms. */
  readonly failures: { at: number; message: string }[] = [];

  constructor(pool: ConnectionPool) {
    this.#pool = pool;
  }

  get failed(): number {
    return this.failures.length;
  }

  get firstFailure(): string | undefined {
    return this.failures[0]?.message;
  }

  async run(callers: number): Promise<void> {
    await Promise.all(Array.from({ length: callers }, (_, i) => this.#call(i)));
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Pauses all callers, waits for running queries, then runs `fn`. */
  async whileNothingRuns(fn: () => Promise<void>): Promise<void> {
    let open = (): void => undefined;
    this.#gate = new Promise((resolve) => {
      open = resolve;
    });
    if (this.#running > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    this.#whenIdle = undefined;
    await fn();
    this.#gate = undefined;
    open();
  }

  async #call(caller: number): Promise<void> {
    for (let turn = caller; !this.#stopped; turn += 1) {
      await this.#gate;
      this.#running += 1;
      const startedAt = performance.now();
      try {
        await (turn % TRANSACTION_EVERY === 0 ? this.#transaction(turn) : this.#query(turn));
      } catch (error) {
        this.failures.push({ at: Date.now(), message: (error as Error).message });
      }
      this.queries += 1;
      this.worstWaitMs = Math.max(this.worstWaitMs, performance.now() - startedAt);
      this.#running -= 1;
      if (this.#running === 0) this.#whenIdle?.();
      await sleep(THINK_MS);
    }
  }

  async #query(value: number): Promise<void> {
    const { recordset } = await this.#pool.request().input('value', value).query('SELECT @value AS value');
    if (recordset[0]?.value !== value) throw new Error('wrong answer');
  }

  async #transaction(value: number): Promise<void> {
    const transaction: Transaction = this.#pool.transaction();
    await transaction.begin();
    const { recordset } = await transaction.request().input('value', value).query('SELECT @value AS value');
    await transaction.commit();
    if (recordset[0]?.value !== value) throw new Error('wrong answer');
  }
}

import type { TarnFacade } from '../pool/tarn-facade.js';

/** The methods with which knex's client creates objects for the application, and runs a builder. */
interface KnexClient {
  pool: TarnFacade;
  queryBuilder(...given: unknown[]): object;
  schemaBuilder(...given: unknown[]): object;
  raw(...given: unknown[]): object;
  runner(builder: object): { ensureConnection(...given: unknown[]): unknown };
  transaction(...given: unknown[]): { acquireConnection(...given: unknown[]): unknown };
}

/**
 * The same client; its checkouts have the stack of the builder or transaction that they are made for. knex runs a builder when it is
 * awaited and begins a transaction after that, and no stack reaches back from there to the code that asked for it.
 */
export function withBuilderStacks<Dialect extends new (...args: never[]) => object>(dialect: Dialect): Dialect {
  const Base = dialect as unknown as new (...given: unknown[]) => KnexClient;
  class Following extends Base {
    override queryBuilder(...given: unknown[]): object {
      return noted(this, super.queryBuilder(...given));
    }

    override schemaBuilder(...given: unknown[]): object {
      return noted(this, super.schemaBuilder(...given));
    }

    override raw(...given: unknown[]): object {
      return noted(this, super.raw(...given));
    }

    override runner(builder: object): ReturnType<KnexClient['runner']> {
      const runner = super.runner(builder);
      const stacks = this.pool?.stacks;
      if (stacks === undefined) return runner;
      const ensureConnection = runner.ensureConnection;
      runner.ensureConnection = (...given) => stacks.during(builder, () => ensureConnection.apply(runner, given));
      return runner;
    }

    override transaction(...given: unknown[]): ReturnType<KnexClient['transaction']> {
      const transaction = super.transaction(...given);
      const stacks = this.pool?.stacks;
      if (stacks === undefined) return transaction;
      stacks.note(transaction);
      const acquireConnection = transaction.acquireConnection;
      transaction.acquireConnection = (...args) =>
        stacks.during(transaction, () => acquireConnection.apply(transaction, args));
      return transaction;
    }
  }
  return Following as unknown as Dialect;
}

/** @param builder has noted where it was created, if `asyncStackTraces` is on: knex skips a fixed number of frames, its own */
function noted(client: KnexClient, builder: { _asyncStack?: { lines: number } }): object {
  // The frame of the method above.
  if (builder._asyncStack !== undefined) builder._asyncStack.lines += 1;
  client.pool?.stacks?.note(builder);
  return builder;
}

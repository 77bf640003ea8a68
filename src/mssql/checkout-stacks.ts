import type { CheckoutStacks } from '../pool/checkout-stacks.js';
import type { TarnFacade } from '../pool/tarn-facade.js';

interface Queryable {
  query(...command: unknown[]): unknown;
  batch(...command: unknown[]): unknown;
}

/** The methods of mssql's pool that work on behalf of the application. */
interface StockPool extends Queryable {
  request(...given: unknown[]): Queryable;
  transaction(...given: unknown[]): object;
  acquire(requester: object, ...given: unknown[]): unknown;
}

/** Only for pools with leak detection. */
const stacksOfPools = new WeakMap<object, CheckoutStacks>();

/** If leak detection is on, records from now on where the application creates each request and transaction. */
export function followCheckouts(pool: object, { stacks }: TarnFacade): void {
  if (stacks === undefined) stacksOfPools.delete(pool);
  else stacksOfPools.set(pool, stacks);
}

/** The application has created a request, transaction or prepared statement of a pool. */
export function noteRequester(pool: object, requester: object): void {
  stacksOfPools.get(pool)?.note(requester);
}

/** mssql's class for a pool; its checkouts have the stack of the request or transaction that they are made for. */
export function withCheckoutStacks<Stock extends object>(stock: Stock): Stock {
  const Base = stock as unknown as new (...given: unknown[]) => StockPool;
  class Following extends Base {
    override request(...given: unknown[]): Queryable {
      const request = super.request(...given);
      noteRequester(this, request);
      return request;
    }

    override transaction(...given: unknown[]): object {
      const transaction = super.transaction(...given);
      noteRequester(this, transaction);
      return transaction;
    }

    override query(...command: unknown[]): unknown {
      if (!stacksOfPools.has(this)) return super.query(...command);
      const request = super.request();
      noteRequester(this, request);
      return request.query(...command);
    }

    override batch(...command: unknown[]): unknown {
      if (!stacksOfPools.has(this)) return super.batch(...command);
      const request = super.request();
      noteRequester(this, request);
      return request.batch(...command);
    }

    override acquire(requester: object, ...given: unknown[]): unknown {
      const stacks = stacksOfPools.get(this);
      if (stacks === undefined) return super.acquire(requester, ...given);
      return stacks.during(requester, () => super.acquire(requester, ...given));
    }
  }
  return Following as unknown as Stock;
}

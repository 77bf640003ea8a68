import { noteRequester } from './checkout-stacks.js';

/** The constructor of mssql's `Request`, `Transaction` or `PreparedStatement`. */
// biome-ignore lint/suspicious/noExplicitAny: the constraint for "any constructor" in TypeScript.
type Constructor = abstract new (...args: any[]) => object;

/**
 * The same class, except that an object created without a parent belongs to the pool that `defaultParent` returns, not
 * to stock mssql's global pool. A proxy and not a subclass: objects that mssql creates (`pool.request()`) stay
 * instances of it, and `class Mine extends sql.Request` works as before.
 */
export function withDefaultParent<C extends Constructor>(stock: C, defaultParent: () => object | null): C {
  return new Proxy(stock, {
    construct(target, [given, ...rest], newTarget) {
      const parent = given || defaultParent();
      const made = Reflect.construct(target, [parent, ...rest], newTarget) as { parent: object | null };
      if (!parent) made.parent = null;
      else noteRequester(parent, made);
      return made;
    },
  });
}

/**
 * Replaces a method on one object, whose class stays as it is. Printing or copying the object does not show it.
 *
 * `method` should be one function for all objects: a closure for each connection would cost memory in every pool.
 */
export function replaceMethod(object: object, name: string, method: unknown): void {
  Object.defineProperty(object, name, { value: method, configurable: true, writable: true });
}

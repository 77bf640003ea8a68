import * as registry from '../../src/credentials/methods/registry.js';

/** The names of the methods that options may belong to: the one that they name, or those that their keys imply. */
export function methodsOf(keys: readonly string[], method?: string): string[] {
  if (method !== undefined) return [method];
  return Object.values(registry)
    .filter(({ options, impliedBy = [] }) => {
      const given = keys.filter((key) =>
        Object.values(registry).some((other) => other.impliedBy?.includes(key as never)),
      );
      return impliedBy.some((key) => keys.includes(key)) && given.every((key) => Object.hasOwn(options, key));
    })
    .map(({ name }) => name);
}

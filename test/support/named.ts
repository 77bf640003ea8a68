/**
 * For `test.each`: each thing behind its name, which goes into the title as `%s`. A `$name` in a title would be quoted, and
 * cut after 40 characters.
 */
export function named<T extends object, K extends keyof T = Extract<'name', keyof T>>(
  things: readonly T[],
  key: K = 'name' as K,
): [name: string, thing: T][] {
  return things.map((thing) => [String(thing[key]), thing]);
}

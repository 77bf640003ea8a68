/** The names of all options of an interface; the compiler reports a missing one. */
export type OptionNames<Options extends object> = Readonly<Record<keyof Options & string, true>>;

/**
 * Refuses an option that does not exist. An emulator that ignored a misspelt one would let a test pass that proves nothing.
 *
 * @throws TypeError that names the option and the existing ones
 */
export function requireKnownOptions(what: string, options: object, known: Readonly<Record<string, true>>): void {
  const unknown = Object.entries(options).find(
    ([name, value]) => value !== undefined && !Object.hasOwn(known, name),
  )?.[0];
  if (unknown === undefined) return;
  throw new TypeError(
    `${what} has no option '${unknown.slice(0, 40)}'. Its options are ${Object.keys(known).sort().join(', ')}.`,
  );
}

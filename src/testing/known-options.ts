/** What an option may be; `must` completes "it must be ...". */
export interface OptionCheck {
  is(value: unknown): boolean;
  must: string;
}

/**
 * All options of an interface, each with a check of its value, or `true` for one that is checked elsewhere. The compiler reports
 * a missing one.
 */
export type OptionNames<Options extends object> = Readonly<Record<keyof Options & string, true | OptionCheck>>;

/**
 * Refuses an option that does not exist, or whose value it cannot use. An emulator that ignored one would let a test pass
 * that proves nothing.
 *
 * @throws TypeError that names the option, and what exists or is allowed
 */
export function requireKnownOptions(
  what: string,
  options: object,
  known: Readonly<Record<string, true | OptionCheck>>,
): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError(`${what} takes an object with the options ${Object.keys(known).sort().join(', ')}.`);
  }
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(known, name)) {
      throw new TypeError(
        `${what} has no option '${name.slice(0, 40)}'. Its options are ${Object.keys(known).sort().join(', ')}.`,
      );
    }
    const check = known[name];
    if (check !== true && check !== undefined && !check.is(value)) {
      throw new TypeError(`${what}: '${name}' must be ${check.must}.`);
    }
  }
}

export const TEXT: OptionCheck = { is: (value) => typeof value === 'string', must: 'a string' };
export const BOOLEAN: OptionCheck = { is: (value) => typeof value === 'boolean', must: 'true or false' };
export const FUNCTION: OptionCheck = { is: (value) => typeof value === 'function', must: 'a function' };
export const NUMBER: OptionCheck = { is: (value) => typeof value === 'number', must: 'a number' };
export const OBJECT: OptionCheck = { is: isRecord, must: 'an object' };
export const TEXTS: OptionCheck = {
  is: (value) => Array.isArray(value) && value.every((each) => typeof each === 'string'),
  must: 'an array of strings',
};
export const TEXT_OR_TEXTS: OptionCheck = {
  is: (value) => TEXT.is(value) || TEXTS.is(value),
  must: 'a string or an array of strings',
};
/** The longest timer of Node.js. */
const LONGEST_MS = 2 ** 31 - 1;
export const MILLISECONDS: OptionCheck = {
  is: (value) => typeof value === 'number' && value >= 0 && value <= LONGEST_MS,
  must: `a number of milliseconds from 0 to ${LONGEST_MS}`,
};
export const PORT: OptionCheck = {
  is: (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 65_535,
  must: 'a port from 0 to 65535',
};
export const CERTIFICATE: OptionCheck = {
  is: (value) => isRecord(value) && typeof value.cert === 'string' && typeof value.key === 'string',
  must: "an object with 'cert' and 'key' in PEM",
};
export const CLOCK: OptionCheck = {
  is: (value) => typeof value === 'function' && Number.isFinite(value()),
  must: 'a function that returns epoch milliseconds',
};

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

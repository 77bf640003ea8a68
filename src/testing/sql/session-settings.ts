/** The session's SET options, by option name in capitals. */
export type SetOption = string;

/** The SET options of a new or reset session after a login with fODBC (MS-TDS 2.2.6.4). */
export const SET_OPTION_DEFAULTS: ReadonlyMap<SetOption, string> = new Map([
  ['ANSI_DEFAULTS', 'OFF'],
  ['ANSI_NULLS', 'ON'],
  ['ANSI_NULL_DFLT_OFF', 'OFF'],
  ['ANSI_NULL_DFLT_ON', 'ON'],
  ['ANSI_PADDING', 'ON'],
  ['ANSI_WARNINGS', 'ON'],
  ['ARITHABORT', 'OFF'],
  ['ARITHIGNORE', 'OFF'],
  ['CONCAT_NULL_YIELDS_NULL', 'ON'],
  ['CURSOR_CLOSE_ON_COMMIT', 'OFF'],
  ['DATEFIRST', '7'],
  ['DATEFORMAT', 'mdy'],
  ['DEADLOCK_PRIORITY', 'NORMAL'],
  ['IMPLICIT_TRANSACTIONS', 'OFF'],
  ['LANGUAGE', 'us_english'],
  ['LOCK_TIMEOUT', '-1'],
  ['NOCOUNT', 'OFF'],
  ['NUMERIC_ROUNDABORT', 'OFF'],
  ['QUOTED_IDENTIFIER', 'ON'],
  ['ROWCOUNT', '0'],
  ['TEXTSIZE', '2147483647'],
  ['XACT_ABORT', 'OFF'],
]);

/** The same after a login without fODBC. tedious logs in this way and then sets most options itself. */
export const SET_OPTION_DEFAULTS_WITHOUT_ODBC: typeof SET_OPTION_DEFAULTS = new Map([
  ...SET_OPTION_DEFAULTS,
  ['ANSI_NULLS', 'OFF'],
  ['ANSI_NULL_DFLT_ON', 'OFF'],
  ['ANSI_PADDING', 'OFF'],
  ['ANSI_WARNINGS', 'OFF'],
  ['CONCAT_NULL_YIELDS_NULL', 'OFF'],
  ['QUOTED_IDENTIFIER', 'OFF'],
  ['TEXTSIZE', '4096'],
]);

/** `@@OPTIONS`: one bit for each option that is on. */
const OPTION_BITS: readonly (readonly [SetOption, number])[] = [
  ['IMPLICIT_TRANSACTIONS', 2],
  ['CURSOR_CLOSE_ON_COMMIT', 4],
  ['ANSI_WARNINGS', 8],
  ['ANSI_PADDING', 16],
  ['ANSI_NULLS', 32],
  ['ARITHABORT', 64],
  ['ARITHIGNORE', 128],
  ['QUOTED_IDENTIFIER', 256],
  ['NOCOUNT', 512],
  ['ANSI_NULL_DFLT_ON', 1024],
  ['ANSI_NULL_DFLT_OFF', 2048],
  ['CONCAT_NULL_YIELDS_NULL', 4096],
  ['NUMERIC_ROUNDABORT', 8192],
  ['XACT_ABORT', 16_384],
];

export function optionBits(options: ReadonlyMap<SetOption, string>): number {
  return OPTION_BITS.reduce((bits, [name, bit]) => (options.get(name) === 'ON' ? bits | bit : bits), 0);
}

export const ISOLATION_LEVELS: readonly string[] = [
  'READ UNCOMMITTED',
  'READ COMMITTED',
  'REPEATABLE READ',
  'SERIALIZABLE',
  'SNAPSHOT',
];

/** The contents of an ERROR or INFO token ([MS-TDS] 2.2.7.10). */
export interface SqlErrorInfo {
  /** Error number: 18456, 1205, 50000 ... */
  number: number;
  /** Default 1. */
  state?: number | undefined;
  /** Severity. Up to 10 is information; 20 and above ends the session. Default 16. */
  class?: number | undefined;
  /** Default: SQL Server's own text, if the emulator has it. */
  message?: string | undefined;
  procName?: string | undefined;
  /** Default 1. */
  lineNumber?: number | undefined;
}

/** A message with everything that its token holds; unlike an error, it costs no stack trace. */
export type ServerMessage = { readonly [Key in keyof SqlErrorInfo]-?: NonNullable<SqlErrorInfo[Key]> };

/** An error as SQL Server reports it to its client. */
export class SqlServerError extends Error {
  override name = 'SqlServerError';
  readonly number: number;
  readonly state: number;
  readonly class: number;
  readonly procName: string;
  readonly lineNumber: number;

  constructor(info: SqlErrorInfo) {
    super(info.message ?? MESSAGES.get(info.number) ?? `Error ${info.number}.`);
    this.number = info.number;
    this.state = info.state ?? 1;
    this.class = info.class ?? DEFAULT_CLASSES.get(info.number) ?? 16;
    this.procName = info.procName ?? '';
    this.lineNumber = info.lineNumber ?? 1;
  }
}

const INT32 = 2 ** 31 - 1;
/** [MS-TDS] 2.2.7.10: the sizes of the fields. */
const RANGES = { number: [-INT32, INT32], state: [0, 255], class: [0, 25], lineNumber: [0, INT32] } as const;

/** Why an error cannot be sent as it stands; undefined if it can be. */
export function flawOf(info: Partial<Record<keyof SqlErrorInfo, unknown>>): string | undefined {
  for (const [name, [least, most]] of Object.entries(RANGES)) {
    const value = info[name as keyof typeof RANGES];
    if (value === undefined || (Number.isInteger(value) && (value as number) >= least && (value as number) <= most))
      continue;
    return `${name} must be a whole number from ${least} to ${most}`;
  }
  return undefined;
}

/** Texts of errors that tests commonly raise by number alone. */
const MESSAGES = new Map<number, string>([
  [
    1205,
    'Transaction (Process ID 51) was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction.',
  ],
  [
    10928,
    'Resource ID : 1. The request limit for the database is 300 and has been reached. See http://go.microsoft.com/fwlink/?LinkId=267637 for assistance.',
  ],
  [
    10929,
    'Resource ID: 1. The request minimum guarantee is 0, maximum limit is 300 and the current usage for the database is 300. However, the server is currently too busy to support requests greater than 0 for this database. See http://go.microsoft.com/fwlink/?LinkId=267637 for assistance. Otherwise, please try again later.',
  ],
  [
    37396,
    'Query cannot be executed, access token is expired. Please login with a new access token and execute query again.',
  ],
  [40197, 'The service has encountered an error processing your request. Please try again. Error code 40143.'],
  [
    40501,
    'The service is currently busy. Retry the request after 10 seconds. Incident ID: 00000000-0000-0000-0000-000000000000. Code: 131075.',
  ],
  [
    40613,
    "Database 'master' on server 'emulator' is not currently available.  Please retry the connection later.  If the problem persists, contact customer support, and provide them the session tracing ID of '{00000000-0000-0000-0000-000000000000}'.",
  ],
  [49918, 'Cannot process request. Not enough resources to process request. Please retry you request later.'],
]);

const DEFAULT_CLASSES = new Map<number, number>([
  [102, 15],
  [1205, 13],
  [4060, 11],
  [18456, 14],
  [40197, 17],
  [40501, 20],
  [40613, 17],
  [40615, 14],
]);

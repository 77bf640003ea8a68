import { parseArgs } from 'node:util';
import { UsageError } from './address.js';
import { unknownArgument } from './unknown-argument.js';
import { assertWritable } from './writable-file.js';

export const LIFETIME_SECONDS = 4;
const SECONDS = 24;

export const USAGE = `Usage: mssql-token-pool demo [--seconds N] [--report FILE]

Compares stock mssql with this library while tokens expire every ${LIFETIME_SECONDS} s, on embedded emulators, without a cloud or Docker.

  --seconds N              how long the demo runs; default ${SECONDS}
  --report FILE            writes the timeline of every connection to an HTML page
`;

export interface DemoOptions {
  /** How long the demo runs. */
  seconds: number;
  /** The HTML page to which both timelines are written. */
  file: string | undefined;
}

const OPTIONS = {
  seconds: { type: 'string', default: String(SECONDS) },
  report: { type: 'string' },
} as const;

/** Reads the arguments. If they are wrong, prints the reason and the usage, and returns undefined. */
export function demoOptions(args: string[]): DemoOptions | undefined {
  try {
    const unknown = unknownArgument(args, OPTIONS);
    if (unknown !== undefined) throw new UsageError(unknown);
    const { values } = parseArgs({ args, options: OPTIONS });
    const seconds = Number(values.seconds);
    if (!(seconds > 0)) throw new UsageError(`--seconds ${values.seconds}: give a number greater than 0`);
    if (values.report !== undefined) assertWritable('--report', values.report);
    return { seconds, file: values.report };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return undefined;
  }
}

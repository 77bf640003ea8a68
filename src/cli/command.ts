import { UsageError } from './address.js';
import { inWords } from './in-words.js';

const WRONG_USAGE = 2;

/** A command that prints its usage for `--help`, and after an error in its arguments. */
export function command(usage: string, run: (args: string[]) => Promise<number>): (args: string[]) => Promise<number> {
  return async (args) => {
    if (args.includes('--help')) {
      process.stdout.write(usage);
      return 0;
    }
    try {
      return await run(args);
    } catch (error) {
      const isUsage = isUsageError(error);
      process.stderr.write(`${inWords(error)}\n${isUsage ? `\n${usage}` : ''}`);
      return isUsage ? WRONG_USAGE : 1;
    }
  };
}

/** One of ours, or what `parseArgs` throws for an unknown option. */
function isUsageError(error: unknown): boolean {
  return error instanceof UsageError || String((error as { code?: unknown }).code).startsWith('ERR_PARSE_ARGS');
}

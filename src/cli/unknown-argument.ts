import { type ParseArgsConfig, parseArgs } from 'node:util';
import { didYouMean } from '../credentials/input/did-you-mean.js';

/**
 * The error for the first argument that does not belong to an option, or undefined. The argument is named by its
 * position, because it may be a connection string or a password whose option was forgotten, and `parseArgs` would quote
 * it.
 */
export function unknownArgument(args: string[], options: NonNullable<ParseArgsConfig['options']>): string | undefined {
  const { tokens } = parseArgs({ args, options, strict: false, tokens: true });
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    const where = `argument ${token.index + 1}`;
    if (token.kind === 'positional') return `Unexpected ${where}: it belongs to no option.`;
    if (!Object.hasOwn(options, token.name)) {
      return `Unknown option (${where}).${didYouMean(token.name, Object.keys(options), '--')}`;
    }
  }
  return undefined;
}

import { inspect } from 'node:util';

/** Every way to print some values, including causes and stacks. */
export function printed(...things: unknown[]): string {
  return things
    .flatMap((thing) => (thing instanceof Error ? withCauses(thing) : [thing]))
    .map((thing) => {
      const stack = thing instanceof Error ? thing.stack : '';
      return `${inspect(thing, { depth: 12, showHidden: true })} ${JSON.stringify(thing)} ${String(thing)} ${stack}`;
    })
    .join('\n');
}

function withCauses(error: Error): unknown[] {
  return error.cause instanceof Error ? [error, ...withCauses(error.cause)] : [error, error.cause];
}

import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';

const isBuilt = existsSync(new URL('../../dist/index.js', import.meta.url));
if (!isBuilt) process.stderr.write('SKIPPED: chaos needs a build (npm run build)\n');

/** A blow each; `npm run chaos` goes on for minutes and also weighs the memory. */
test
  .skipIf(!isBuilt)
  .each(['kill-server', 'stop-server', 'cut-network', 'kill-identity-provider', 'crowd', 'slow-readers'])(
  'chaos, short: %s',
  async (name) => {
    // @ts-expect-error a program, not part of the types
    const { faultsFound, runFault } = await import('./run.mjs');
    const result = await runFault(name, 1);
    expect(faultsFound(result, { checkMemory: false }), JSON.stringify(result.byCause)).toEqual([]);
  },
);

import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { named } from '../../support/named.js';
import { ProcessWatch } from '../process-watch.js';
import { plantedSecret } from '../secrets.js';
import { type Outcome, outcomes, useCredentialObject } from './credential-object.js';
import { NAMED_VALUES } from './strange-values.js';

const watch = new ProcessWatch();
afterAll(() => watch[Symbol.dispose]());

async function use(script: readonly Outcome[], secret: string): Promise<string[]> {
  const crashes: string[] = [];
  const broken = await watch.run(crashes, () => useCredentialObject(script, secret));
  return [...broken, ...crashes, ...watch.strays.splice(0)];
}

test.each(named(NAMED_VALUES))('keeps its promises with a credential that fails with: %s', async (_, value) => {
  const secret = plantedSecret();
  for (const how of ['rejects', 'throws', 'resolves'] as const) {
    expect(await use([{ how, value, afterMs: 0 }], secret), how).toEqual([]);
  }
});

test('keeps its promises with whatever a credential object throws or returns', { timeout: 60_000 }, async () => {
  const secret = plantedSecret();
  await fc.assert(
    fc.asyncProperty(outcomes(secret), async (script) => {
      expect(await use(script, secret)).toEqual([]);
    }),
    { numRuns: 60, seed: 1, interruptAfterTimeLimit: 30_000 },
  );
});

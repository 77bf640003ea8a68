import fc from 'fast-check';
import { expect, test } from 'vitest';
import { everythingPrinted, secretIn } from '../secrets.js';
import { type EntryPoint, TEXT_ENTRY_POINTS } from './entry-points.js';
import { planted } from './planted.js';

test.each(Object.entries(TEXT_ENTRY_POINTS))(
  '%s: no secret of a malformed text is in its error',
  async (_name, enter) => {
    await fc.assert(
      fc.asyncProperty(planted, async ({ text, secrets }) => {
        expect(secretIn(await printedAbout(enter, text), secrets)).toBeUndefined();
      }),
      { numRuns: 200, seed: 1 },
    );
  },
);

async function printedAbout(enter: EntryPoint, text: string): Promise<string> {
  try {
    return everythingPrinted(await enter(text));
  } catch (error) {
    return everythingPrinted(error);
  }
}

import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Quick ones first: a mutant is done with at the first test that fails. */
const FILES = [
  'waiting-for-a-connection',
  'returning',
  'near-the-end',
  'testing-connections',
  'closing-on-time',
  'figures-and-events',
  'background-retries',
  'successors',
  'when-to-try-again',
  'like-tarn',
  'logins',
  'housekeeping',
].map((name) => `test/pool/${name}.test.ts`);

class InThisOrder extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => FILES.findIndex((file) => moduleId.endsWith(file));
    return files.sort((a, b) => place(a) - place(b));
  }
}

/** Whole pools on a driven clock, without sockets. */
export default defineConfig({
  test: {
    include: FILES,
    sequence: { sequencer: InThisOrder },
    testTimeout: 2_500,
    hookTimeout: 2_500,
    fileParallelism: false,
    isolate: false,
  },
});

import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Quick ones first, because a mutant is finished at the first test that fails. */
const FIRST = [
  'expiry-policy',
  'dial',
  'dialer',
  'session',
  'early-end',
  'background-pauses',
  'requests-in-transactions',
  'circuit-breaker-edges',
  'housekeeping-plan',
  'wait-queue',
  'pooled-connection',
  'connection-limit',
  'waiting-for-a-connection',
  'logins',
  'returning',
  'near-the-end',
  'testing-connections',
  'closing-on-time',
  'figures-and-events',
  'background-retries',
  'successors',
  'when-to-try-again',
  'like-tarn',
].map((name) => `/${name}.test.ts`);

class InThisOrder extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const index = FIRST.findIndex((file) => moduleId.endsWith(file));
      return index < 0 ? FIRST.length : index;
    };
    return files.sort((a, b) => place(a) - place(b));
  }
}

/** Whole pools on a driven clock, without sockets. */
export default defineConfig({
  test: {
    include: [
      'test/pool/*.test.ts',
      'test/connections/{circuit-breaker,circuit-breaker-edges,dial,dialer,expiry-policy,session}.test.ts',
      'test/tokens/one-principal.test.ts',
    ],
    exclude: ['test/**/*.sockets.test.ts'],
    sequence: { sequencer: InThisOrder },
    // The slowest takes 0.1 s. Less than Stryker's own limit, so that a hang fails its test and the process continues.
    testTimeout: 4_000,
    hookTimeout: 4_000,
    fileParallelism: false,
    isolate: false,
  },
});

import { defineConfig } from 'vitest/config';

/** The quick tests of the modules that `npm run mutate` changes: hundreds of runs, so no waits in real time. */
export default defineConfig({
  test: {
    include: [
      'test/time.test.ts',
      'test/tokens/**/*.test.ts',
      'test/identities/*.test.ts',
      'test/connections/**/*.test.ts',
    ],
    exclude: ['test/**/*.sockets.test.ts'],
    // A mutant that hangs counts as detected.
    testTimeout: 6_000,
    hookTimeout: 6_000,
    expect: { poll: { timeout: 1_000 } },
    fileParallelism: false,
    isolate: false,
  },
});

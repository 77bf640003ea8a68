import { defineConfig } from 'vitest/config';

/** The quick tests of the three rooms whose mutants `npm run mutate` tries: hundreds of runs, so no waits in real time. */
export default defineConfig({
  test: {
    include: [
      'test/tokens/**/*.test.ts',
      'test/connections/**/*.test.ts',
      'test/pool/{capacity,deadlines,place,room,switching-credential,token-expiry,waiting-caller}.test.ts',
    ],
    exclude: ['test/tokens/redis.sockets.test.ts'],
    // A mutant that hangs has been noticed.
    testTimeout: 3_000,
    hookTimeout: 3_000,
    expect: { poll: { timeout: 1_000 } },
    fileParallelism: false,
    isolate: false,
  },
});

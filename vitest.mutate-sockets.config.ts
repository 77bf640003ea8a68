import { defineConfig } from 'vitest/config';

/** Tests in process first, then those with sockets that take a fraction of a second each. */
export default defineConfig({
  test: {
    include: [
      'test/pool/{call-options,function-arguments,returning-early,transaction-of-a-driver,transaction-watch}.test.ts',
      'test/pool/{commit-inside,transaction}.sockets.test.ts',
    ],
    testTimeout: 15_000,
    hookTimeout: 15_000,
    expect: { poll: { timeout: 5_000 } },
    fileParallelism: false,
    isolate: false,
  },
});

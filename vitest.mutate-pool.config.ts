import { defineConfig } from 'vitest/config';

/** The pool on a driven clock, and a few hours of the simulation. */
export default defineConfig({
  test: {
    include: ['test/pool/upkeep.test.ts', 'test/simulation/few-hours.test.ts'],
    testTimeout: 4_000,
    hookTimeout: 4_000,
    expect: { poll: { timeout: 1_000 } },
    fileParallelism: false,
    isolate: false,
  },
});

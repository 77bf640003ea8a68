import { defineConfig } from 'vitest/config';

/** The pool on a driven clock, a few hours of the simulation, and of the tests with servers those that take a tenth of a second. */
export default defineConfig({
  test: {
    include: ['test/simulation/few-hours.test.ts', 'test/pool/{upkeep,checkout,refused-logins,tarn-facade}.test.ts'],
    testTimeout: 4_000,
    hookTimeout: 4_000,
    expect: { poll: { timeout: 1_000 } },
    fileParallelism: false,
    isolate: false,
  },
});

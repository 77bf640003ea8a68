import { defineConfig } from 'vitest/config';

const { CI, TEST_REPORT } = process.env;

const shared = {
  testTimeout: 120_000,
  hookTimeout: 120_000,
  // A condition is waited for until it holds; a slow machine is no failure.
  expect: { poll: { timeout: 20_000 } },
};

/**
 * What the tests of these folders change is their own: a module that one file has loaded may serve the next, which saves half of
 * the time. The others replace modules, measure time or start programs, so each file has a process of its own.
 */
const SHARING =
  'test/{connections,credentials,hostile,identities,mssql,orm,pool,telemetry,testing,tokens}/**/*.sockets.test.ts';

const sockets = {
  ...shared,
  // A stall of the build machine must not refuse a change. What needs its second attempt is listed at the end of the run.
  retry: CI === undefined ? 0 : 1,
};

/**
 * Two tiers, in the name of each file. `*.test.ts` runs in one process: what waits for time waits for a driven clock.
 * `*.sockets.test.ts` opens real sockets or starts processes. `*.soak.test.ts` takes minutes: `npm run soak`.
 *
 * `TEST_REPORT=file` also writes a report as JSON.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...shared,
          name: 'in-process',
          isolate: false,
          include: ['test/**/*.test.ts'],
          exclude: ['test/container/**', 'test/**/*.{sockets,soak}.test.ts'],
          setupFiles: ['test/support/no-sockets.ts'],
        },
      },
      {
        test: {
          ...sockets,
          name: 'sockets',
          isolate: false,
          include: [SHARING],
          setupFiles: ['test/support/leaves-no-trace.ts'],
        },
      },
      {
        test: { ...sockets, name: 'sockets, own process', include: ['test/**/*.sockets.test.ts'], exclude: [SHARING] },
      },
    ],
    // Socket tests wait for a third of their time (tokens that expire, time limits), so one more than the cores of a build machine.
    maxWorkers: 3,
    // An unhandled rejection anywhere is a broken promise (P6), never a warning.
    dangerouslyIgnoreUnhandledErrors: false,
    reporters: [
      'default',
      './test/support/end-of-run.ts',
      ...(TEST_REPORT === undefined ? [] : [['json', { outputFile: TEST_REPORT }] satisfies [string, object]]),
    ],
  },
});

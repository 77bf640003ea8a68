import type { Reporter, TestModule } from 'vitest/node';

const SHOWN = 10;

/** Ends a run with the tests that passed only at their second attempt, and with the ten slowest. */
export default class EndOfRun implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const tests = modules.flatMap((module) =>
      [...module.children.allTests()].map((test) => ({
        ms: test.diagnostic()?.duration ?? 0,
        flaky: test.diagnostic()?.flaky ?? false,
        name: `${module.relativeModuleId} > ${test.fullName}`,
      })),
    );
    for (const { name } of tests.filter(({ flaky }) => flaky))
      console.log(`\nFLAKY, passed only when repeated: ${name}`);
    if (tests.length <= SHOWN) return;
    tests.sort((a, b) => b.ms - a.ms);
    const all = tests.reduce((sum, { ms }) => sum + ms, 0);
    console.log(`\nSlowest of ${tests.length} tests (${seconds(all)} s in all):`);
    for (const { ms, name } of tests.slice(0, SHOWN)) console.log(`${seconds(ms).padStart(7)} s  ${name}`);
  }
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}

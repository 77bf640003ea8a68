import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { describeViolation, simulate } from './run.js';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    hours: { type: 'string', default: '24' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    calm: { type: 'boolean', default: false },
    'calm-seeds': { type: 'string' },
    'keep-going': { type: 'boolean', default: false },
    soak: { type: 'boolean', default: false },
  },
});

if (values.soak) {
  // Thousands of queries of many users; each answer is compared with its caller.
  const args = ['vitest', 'run', '--config', 'vitest.soak.config.ts', 'never-another-identity'];
  process.exit(spawnSync('npx', args, { stdio: 'inherit' }).status ?? 1);
}

const hours = Number(values.hours);
const from = Number(values.seed ?? values.from);
const seeds = values.seed === undefined ? Number(values.seeds) : 1;
/** Without calm seeds a short run says nothing about P11: one for ten stormy ones, unless a single seed is replayed. */
const calmSeeds = Number(
  values['calm-seeds'] ?? (values.calm || values.seed !== undefined ? 0 : Math.ceil(seeds / 10)),
);
const runs = [
  ...Array.from({ length: seeds }, (_, i) => ({ seed: from + i, calm: values.calm })),
  ...Array.from({ length: calmSeeds }, (_, i) => ({ seed: from + i, calm: true })),
];
const startedAt = performance.now();
const total = { poolHours: 0, checkouts: 0, failedCheckouts: 0, logins: 0, renewals: 0, faults: 0 };
const checks: Record<string, number> = {};
const broken: string[] = [];

for (const { seed, calm } of runs) {
  const result = await simulate({ seed, hours, trace: values.trace, calm });
  for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += result[key];
  for (const [promise, count] of Object.entries(result.checks)) checks[promise] = (checks[promise] ?? 0) + count;
  if (result.violation === undefined) continue;
  broken.push(`${result.violation.promise} ${calm ? 'calm ' : ''}seed ${seed}: ${result.violation.message}`);
  if (!values['keep-going']) {
    console.log(describeViolation(result, hours));
    break;
  }
}

const seconds = (performance.now() - startedAt) / 1000;
const { user, system } = process.cpuUsage();
const cpuSeconds = (user + system) / 1e6;
console.log(
  `${total.poolHours} pool-hours in ${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(1)} s of CPU ` +
    `(${Math.round((total.poolHours / cpuSeconds) * 600)} in 10 minutes of one core): ` +
    `${total.checkouts} checkouts, ${total.failedCheckouts} turned away, ${total.logins} logins, ` +
    `${total.renewals} renewals, ${total.faults} faults`,
);
console.log(
  `checks: ${Object.entries(checks)
    .map(([promise, count]) => `${promise} ${count}`)
    .join(', ')}`,
);
for (const line of broken) console.log(line);
const unchecked = Object.keys(checks).filter((promise) => checks[promise] === 0);
if (unchecked.length > 0) console.log(`Never checked, so not shown to be kept: ${unchecked.join(', ')}`);
// A single seed is run for inspection; it need not cover everything.
const isIncomplete = unchecked.length > 0 && values.seed === undefined;
process.exitCode = broken.length > 0 || isIncomplete ? 1 : 0;

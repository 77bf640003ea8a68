// `npm run chaos [-- --minutes 5] [names]`: real processes killed, stopped and cut off while an application queries.
import { parseArgs } from 'node:util';
import { FAULTS } from './faults.mjs';
import { faultsFound, runFault } from './run.mjs';

const { values, positionals } = parseArgs({
  options: { minutes: { type: 'string', default: '5' } },
  allowPositionals: true,
});
const unknown = positionals.filter((name) => !(name in FAULTS));
if (unknown.length > 0) {
  console.error(`There is no fault called ${unknown.join(', ')}; there are ${Object.keys(FAULTS).join(', ')}.`);
  process.exit(2);
}

for (const name of positionals.length > 0 ? positionals : Object.keys(FAULTS)) {
  const result = await runFault(name, Number(values.minutes) * 60);
  const found = faultsFound(result, { checkMemory: true });
  const { title, blows, queries, failed, byCause, logins, renewals, longestWaitMs, memoryRatio } = result;
  console.log(`${name}: ${title}`);
  console.log(`  ${queries} queries, ${failed} failed in ${blows} blows ${JSON.stringify(byCause)}`);
  console.log(
    `  failures that the fault does not explain ${result.unexplained.length}, waiters lost ${result.waitersLost}`,
  );
  console.log(`  connections left ${result.connectionsLeft}, logins ${logins}, renewals ${renewals}`);
  console.log(
    `  longest wait ${Math.round(longestWaitMs)} ms, heap after GC, last fifth to first ${memoryRatio.toFixed(2)}`,
  );
  for (const line of found) console.log(`  NOT WELL: ${line}`);
  if (found.length > 0) process.exitCode = 1;
}

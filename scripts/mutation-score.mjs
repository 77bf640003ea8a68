// Prints the mutation score of pool, identities, connections and tokens from the reports of all parts (docs/mutation-testing.md).
// Exits with 1 if it is below the target, or if a file has no result.
//
//   node scripts/mutation-score.mjs [--all]     every file, not only those below the limit
import { existsSync, readdirSync, readFileSync } from 'node:fs';

const REPORTS = ['reports/mutation.json', 'reports/mutation-pool.json', 'reports/mutation-sockets.json'];
const MODULES = ['pool', 'identities', 'connections', 'tokens'];
/** Least score of all files together, and of each, in %. */
const LEAST = { total: 88, file: 80 };

const DETECTED = new Set(['Killed', 'Timeout']);
const UNDETECTED = new Set(['Survived', 'NoCoverage']);

/** Detected and undetected mutants of each file. */
const files = new Map();
for (const report of REPORTS.filter((path) => existsSync(path))) {
  for (const [file, { mutants }] of Object.entries(JSON.parse(readFileSync(report, 'utf8')).files)) {
    if (!MODULES.includes(/^src\/(\w+)\//.exec(file)?.[1])) continue;
    files.set(file, {
      detected: mutants.filter(({ status }) => DETECTED.has(status)).length,
      undetected: mutants.filter(({ status }) => UNDETECTED.has(status)).length,
    });
  }
}

const scoreOf = (parts) => {
  const detected = parts.reduce((sum, part) => sum + part.detected, 0);
  const all = detected + parts.reduce((sum, part) => sum + part.undetected, 0);
  return { detected, all, score: all === 0 ? 100 : (100 * detected) / all };
};
const row = (name, parts) => {
  const { detected, all, score } = scoreOf(parts);
  console.log(`${score.toFixed(1).padStart(6)} %  ${`${detected}/${all}`.padStart(10)}  ${name}`);
  return score;
};

const all = [...files].sort(([a], [b]) => a.localeCompare(b));
const below = all.filter(([, part]) => scoreOf([part]).score < LEAST.file);
for (const [file, part] of process.argv.includes('--all') ? all : below) row(file, [part]);
for (const module of MODULES) {
  row(
    `src/${module}`,
    all.filter(([file]) => file.startsWith(`src/${module}/`)).map(([, part]) => part),
  );
}
const total = row(
  'total',
  all.map(([, part]) => part),
);

// A file whose code runs when it is loaded, or that has types only, has no mutants and is in no report.
const sources = MODULES.flatMap((module) => readdirSync(`src/${module}`).map((name) => `src/${module}/${name}`));
const unmeasured = sources.filter(
  (file) => !files.has(file) && /^(?:export )?(?:async )?(?:function|class) /m.test(readFileSync(file, 'utf8')),
);
if (unmeasured.length > 0) console.log(`\nNot measured: ${unmeasured.join(', ')}`);
console.log(
  `\nFiles below ${LEAST.file} %: ${below.length === 0 ? 'none' : below.map(([file]) => file).join(', ')}. Least total: ${LEAST.total} %.`,
);
if (below.length > 0 || unmeasured.length > 0 || total < LEAST.total) process.exitCode = 1;

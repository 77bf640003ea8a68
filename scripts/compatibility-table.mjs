// Writes the behavior of the ORMs to docs/compatibility.md, from the reports of test runs.
//
//   ORM_REPORTS=reports/orm npx vitest run test/orm     for each pair of Node.js and tedious; reports accumulate
//   node scripts/compatibility-table.mjs [folder]
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

const folder = process.argv[2] ?? 'reports/orm';
const reports = readdirSync(folder)
  .filter((file) => file.endsWith('.json'))
  .map((file) => JSON.parse(readFileSync(`${folder}/${file}`, 'utf8')));

const OURS = 'renewal in the background, replaced before closed, statistics';
const ITS_OWN = 'fresh token for each login, expiry checked at checkout';

const names = [...new Set(reports.map(({ name }) => name))].sort();
const rows = names.map((name) => {
  const runs = reports.filter((report) => report.name === name);
  const [{ version, seam, pool, tables, relations, streams }] = runs;
  const sum = (key) => runs.reduce((total, run) => total + run[key], 0);
  const pairs = runs.map(({ node, tedious }) => `Node ${node.slice(1)}, tedious ${tedious}`).sort();
  return [
    name,
    version,
    seam,
    pool === 'ours' ? OURS : ITS_OWN,
    [tables, relations, ...(streams ? ['streams'] : [])].join(', '),
    `${Math.min(...runs.map(({ passed }) => passed.length))} of ${streams ? 10 : 9}`,
    `${sum('logins')} logins, ${sum('refused')} refused`,
    pairs.join('<br>'),
  ];
});

const head = ['ORM', 'version', 'seam', 'gets', 'tested with', 'behaviours', 'logins', 'on'];
const line = (cells) => `| ${cells.join(' | ')} |`;
const FILE = 'docs/compatibility.md';
const text = readFileSync(FILE, 'utf8');
const before = text.slice(0, text.indexOf('<!-- behaviours -->') + '<!-- behaviours -->'.length);
const after = text.slice(text.indexOf('<!-- /behaviours -->'));
writeFileSync(
  FILE,
  `${before}\n\n${[line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')}\n\n${after}`,
);

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const FILE = 'docs/compatibility.md';
const START = '<!-- matrix -->';
const END = '<!-- /matrix -->';

/** Writes the results to docs/compatibility.md, between two markers, in the order of the rows. */
export function writeTable(groups, results) {
  const sections = groups.map(({ title, rows }) => {
    const lines = rows.filter(({ name }) => results.has(name)).map((row) => line(row, results.get(row.name)));
    return `### ${title}\n\n| | packages | result |\n| --- | --- | --- |\n${lines.join('\n')}\n`;
  });
  const text = readFileSync(FILE, 'utf8');
  const before = text.slice(0, text.indexOf(START) + START.length);
  const after = text.slice(text.indexOf(END));
  writeFileSync(FILE, `${before}\n\n${sections.join('\n')}\n${after}`);
  execFileSync('node_modules/.bin/biome', ['format', '--write', FILE]);
}

function line(row, { versions = '', summary = '', error }) {
  const outcome =
    error === undefined ? ['✓', [summary, row.note].filter(Boolean).join('; ')] : ['✗', error.split('\n')[0]];
  return `| ${row.name} | ${versions}${row.node ? ` (Node.js ${row.node})` : ''} | ${outcome.join(' ').replaceAll('|', '\\|')} |`;
}

/** The page docs/conformance.md, from the results of one run. */
export function conformancePage(requirements, results) {
  const pools = [...results.keys()];
  const cell = (pool, id) => (results.get(pool).find((result) => result.id === id)?.passed ? 'yes' : '**no**');
  const rows = requirements.map(({ id, title }) => `| ${title} | ${pools.map((pool) => cell(pool, id)).join(' | ')} |`);
  const misses = pools.flatMap((pool) =>
    results
      .get(pool)
      .flatMap(({ id, passed, seen }) => (passed ? [] : [`- ${pool}, \`${id}\`: ${seen.replaceAll('<', '&lt;')}`])),
  );
  return `# What a token pool must do

\`mssql-token-pool/testing/conformance\` examines any pool of SQL Server connections against the requirements below. It
starts its own identity provider and SQL Server for each requirement, so it needs no network, no Docker and no account.

This page is written by \`npm run conformance\`. Each pool is set up as its own documentation shows for Entra tokens;
scripts/conformance/pools.mjs has the code.

| requirement | ${pools.join(' | ')} |
| --- |${pools.map(() => ' --- |').join('')}
${rows.join('\n')}

## What failed instead

${misses.length === 0 ? 'Every pool meets every requirement.' : misses.join('\n')}

## Examine your own pool

<!-- before:
import { Connection, Request } from 'tedious';
import { createTokenPool } from 'mssql-token-pool';
const openMyPool = async ({ credential, ...config }) => createTokenPool({ ...config, authentication: credential });
const firstValue = (connection, sql) => new Promise((resolve, reject) => {
  connection.execSqlBatch(new Request(sql, (error) => (error ? reject(error) : resolve())));
});
-->

\`\`\`js
import { conformance } from 'mssql-token-pool/testing/conformance';

const report = await conformance(async ({ config, credential, max, acquireTimeoutMillis }) => {
  const pool = await openMyPool({ ...config, credential, max, acquireTimeoutMillis });
  return {
    acquire: () => pool.acquire(),
    release: (connection) => pool.release(connection),
    query: (connection, sql) => firstValue(connection, sql), // first column of the first row
    close: () => pool.close(),
  };
}, { only: ['single-flight'] }); // default: all
console.table(report);
\`\`\`

## Examine a real Azure SQL database

\`\`\`sh
npm run conformance -- --server my-server.database.windows.net --database my-database
\`\`\`

prints what it will do and stops; with \`--yes\` it does it, with your own credential (\`--authentication\`, default: the
chain of environment, managed identity and developer tools), in less than ten minutes. It creates one schema with a random
name and drops it again, touches nothing else, and writes \`conformance-report.json\` without secrets: error numbers, states
and classes, times, and versions.

**We have not run this against Azure SQL.** The project's own tests run it against the SQL emulator only.
`;
}

const START = '<!-- conformance -->';
const END = '<!-- /conformance -->';

/** The README with the table of docs/conformance.md in short: one column for this package, marks for words. */
export function readmeWithTable(readme, page) {
  const lines = page.split('\n').filter((line) => line.startsWith('| '));
  const [head, , ...rows] = lines.map((line) => line.slice(2, -2).split(/ *\| /));
  // The drop-in, beside the raw pool; where the two differ, the README shows both.
  const isSame = rows.every((row) => row[1] === row[2]);
  const shown = (row) => row.filter((_, column) => !(isSame && column === 2)).map((cell) => cell.trim());
  // How a library gets its tokens matters where there are two of it; the page has it for all.
  const short = (name) => (name.startsWith('mssql') ? name : name.replace(/,.*/, ''));
  const mark = (cell) => ({ yes: '✓', '**no**': '–' })[cell] ?? cell;
  const table = aligned([shown(head).map(short), ...rows.map((row) => shown(row).map(mark))]);
  const before = readme.slice(0, readme.indexOf(START) + START.length);
  const after = readme.slice(readme.indexOf(END));
  return `${before}\n\n${table}\n\n${after}`;
}

/** A Markdown table as the formatter aligns it: the first column to the left, the others centered. */
function aligned([head, ...rows]) {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column].length)));
  const centered = (cell, width) => cell.padStart(cell.length + Math.floor((width - cell.length) / 2)).padEnd(width);
  const line = (row) =>
    `| ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[0]) : centered(cell, widths[i]))).join(' | ')} |`;
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `:${'-'.repeat(width - 2)}:`));
  return [line(head), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
}

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

## What was seen instead

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

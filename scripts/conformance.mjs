#!/usr/bin/env node
/**
 * Checks pools against the requirements of `mssql-token-pool/testing/conformance`, writes docs/conformance.md, and puts a
 * short form of its table into README.md:
 *
 *   npm run conformance
 *
 * With `--server`, it checks this package against a real server instead; see conformance/real-server.mjs:
 *
 *   npm run conformance -- --server my-server.database.windows.net --database my-database --yes
 */
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { conformancePage, readmeWithTable } from './conformance/page.mjs';
import { POOLS } from './conformance/pools.mjs';
import { examineRealServer } from './conformance/real-server.mjs';

const { values: options } = parseArgs({
  options: {
    server: { type: 'string' },
    database: { type: 'string' },
    authentication: { type: 'string', default: 'chain' },
    'trust-server-certificate': { type: 'boolean', default: false },
    output: { type: 'string' },
    only: { type: 'string', multiple: true },
    yes: { type: 'boolean', default: false },
  },
});

if (options.server === undefined) await compare();
else await examineAndExit();

/** Ends the process even if a check that was stopped still waits for its server. */
async function examineAndExit() {
  await examineRealServer(options);
  process.exit();
}

async function compare() {
  const { conformance, requirements } = await import('mssql-token-pool/testing/conformance');
  const results = new Map();
  for (const [name, open] of Object.entries(POOLS)) {
    results.set(name, await conformance(open, { only: options.only }));
    for (const { id, passed, seen } of results.get(name)) {
      process.stdout.write(`${passed ? 'ok  ' : 'FAIL'} ${name}: ${id}${passed ? '' : ` (${seen})`}\n`);
    }
  }
  if (options.only === undefined) {
    const page = new URL(options.output ?? '../docs/conformance.md', import.meta.url);
    const text = conformancePage(requirements, results);
    await writeFile(page, text);
    const readme = new URL('../README.md', import.meta.url);
    if (options.output === undefined) await writeFile(readme, readmeWithTable(await readFile(readme, 'utf8'), text));
  }
  const ours = [...results].filter(([name]) => name.startsWith('mssql-token-pool')).flatMap(([, each]) => each);
  process.exit(ours.every(({ passed }) => passed) ? 0 : 1);
}

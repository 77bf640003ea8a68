import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Site, site } from '../support/pool.js';
import { pages, runnable, snippetsOf } from './snippets.js';

// Inside the repository, so that `mssql-token-pool` and its peers are found as in an app.
const folder = fileURLToPath(new URL('../../reports/snippets/', import.meta.url));
const runner = fileURLToPath(new URL('run-snippets.mjs', import.meta.url));
let here: Site;

beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  here = await site({ server: { onQuery: () => [{ id: 1, name: 'Ada' }] } });
  writeFileSync(`${folder}ca.pem`, here.server.ca);
});
afterAll(async () => {
  await here[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

function run(files: string[]): Promise<string | undefined> {
  const { entra } = here;
  const env = {
    PATH: process.env.PATH,
    NODE_EXTRA_CA_CERTS: `${folder}ca.pem`,
    AZURE_TENANT_ID: entra.tenantId,
    AZURE_CLIENT_ID: entra.clientId,
    AZURE_CLIENT_SECRET: entra.clientSecret,
    AZURE_AUTHORITY_HOST: entra.url,
    SQL_CLIENT_SECRET: entra.clientSecret,
    SQL_ACCESS_TOKEN: entra.issueToken(),
    SQL_CONNECTION_STRING: `Server=localhost,${here.server.port};Database=app;Authentication=Active Directory Service Principal;User ID=${entra.clientId}@${entra.tenantId};Password=${entra.clientSecret}`,
    ...entra.managedIdentity.appService.env,
  };
  return new Promise((resolve) => {
    execFile(process.execPath, [runner, ...files], { env, timeout: 60_000, cwd: folder }, (error, stdout, stderr) => {
      resolve(error === null ? undefined : `${error.killed ? 'It did not end. ' : ''}${stderr}${stdout}`);
    });
  });
}

describe.each(pages().filter((page) => snippetsOf(page).length > 0))('%s', (page) => {
  const snippets = snippetsOf(page);
  const run1 = snippets.filter(({ notRun }) => notRun === undefined);

  test.skipIf(run1.length === 0)(`${run1.length} of ${snippets.length} snippets run`, { timeout: 90_000 }, async () => {
    const files: string[] = [];
    for (const snippet of run1) {
      const file = `${folder}${page.replace(/\W/g, '-')}-line-${snippet.line}.mjs`;
      writeFileSync(file, await runnable(snippet, here.server.port));
      files.push(file);
    }
    // A snippet that leaves something out says so to us: `<!-- before: const app = ... -->` in front of it (snippets.ts).
    expect(await run(files)).toBeUndefined();
  });

  for (const { line, notRun } of snippets.filter((snippet) => snippet.notRun !== undefined)) {
    // Out loud: each one appears in the report, with its reason.
    test.skip(`line ${line}: ${notRun}`, () => {});
  }
});

import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { site } from '../support/pool.js';

const root = resolve(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'npx-'));
const own = join(folder, 'node_modules', 'mssql-token-pool');

// What `npx mssql-token-pool` downloads: this package and its dependencies, neither mssql nor tedious.
beforeAll(() => {
  mkdirSync(own, { recursive: true });
  cpSync(join(root, 'dist'), join(own, 'dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(own, 'package.json'));
  for (const name of ['generic-pool', '@azure'])
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function program(args: string[], env: Record<string, string> = {}): Promise<{ code: number; text: string }> {
  return new Promise((done) => {
    const options = { cwd: folder, env: { PATH: process.env.PATH, ...env } };
    execFile(process.execPath, [join(own, 'dist/cli/main.js'), ...args], options, (error, stdout, stderr) =>
      done({ code: error === null ? 0 : Number(error.code), text: stdout + stderr }),
    );
  });
}

/** An npm that installs from this repository's own packages, or fails as one without network does. */
function npmThat(does: 'installs' | 'fails'): string {
  const bin = mkdtempSync(join(folder, 'bin-'));
  const link = `mkdir -p "$3/node_modules" && ln -s ${join(root, 'node_modules/mssql')} "$3/node_modules/mssql"`;
  writeFileSync(join(bin, 'npm'), `#!/bin/sh\n${does === 'installs' ? link : 'exit 1'}\n`, { mode: 0o755 });
  return `${bin}:${process.env.PATH}`;
}

test('demo downloads mssql for its run and leaves nothing behind', async () => {
  const before = readdirSync(tmpdir()).filter((each) => each.startsWith('mssql-token-pool-demo-'));
  const { code, text } = await program(['demo', '--seconds', '9'], { PATH: npmThat('installs') });
  expect(text).toContain('mssql@12, which is not installed here; downloading it for this run');
  expect(text).toContain('mssql-token-pool: no failed query, no refused login.');
  expect(code).toBe(0);
  expect(readdirSync(tmpdir()).filter((each) => each.startsWith('mssql-token-pool-demo-'))).toEqual(before);
}, 60_000);

test('demo shows its options, and refuses invalid ones, before it downloads anything', async () => {
  const env = { PATH: npmThat('fails') };
  for (const args of [
    ['demo', '--help'],
    ['help', 'demo'],
    ['demo', '-h'],
  ]) {
    const { code, text } = await program(args, env);
    expect({ code, text }).toEqual({ code: 0, text: expect.stringMatching(/^Usage: mssql-token-pool demo /) });
  }
  for (const args of [
    ['demo', '--nope'],
    ['demo', 'extra'],
    ['demo', '--seconds', 'x'],
    ['demo', '--report', '/no/such/folder/x.html'],
  ]) {
    const { code, text } = await program(args, env);
    expect({ args, code }).toEqual({ args, code: 2 });
    expect(text).not.toMatch(/fetching|not installed/);
    expect(text).toContain('Usage: mssql-token-pool demo ');
  }
});

test('demo names the package to install if npm cannot', async () => {
  const { code, text } = await program(['demo'], { PATH: npmThat('fails') });
  expect(text).toMatch(/npm could not install mssql@12\. Run npm install mssql@12, then the demo again\.\n$/);
  expect(code).toBe(1);
});

test('doctor checks everything before the login, then names the package to install', async () => {
  await using here = await site();
  const { entra, server } = here;
  const ca = join(folder, 'ca.pem');
  writeFileSync(ca, server.ca);
  const { code, text } = await program(['doctor', '--server', `localhost,${server.port}`, '--ca', ca], {
    AZURE_TENANT_ID: entra.tenantId,
    AZURE_CLIENT_ID: entra.clientId,
    AZURE_CLIENT_SECRET: entra.clientSecret,
    AZURE_AUTHORITY_HOST: entra.url,
  });
  expect(text).toMatch(/✓ token [^✗]*✗ login +The package 'tedious' is not installed: npm install tedious/);
  expect(text).toContain('npx -p mssql-token-pool -p tedious mssql-token-pool doctor');
  expect(code).toBe(15);
});

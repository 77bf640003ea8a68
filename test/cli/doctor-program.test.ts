import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Site, site } from '../support/pool.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'doctor-'));
const ca = join(folder, 'ca.pem');
let here: Site;

beforeAll(async () => {
  here = await site({ server: { databases: ['app'] } });
  writeFileSync(ca, here.server.ca);
});
afterAll(async () => {
  await here[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

interface Run {
  code: number;
  stdout: string;
  stderr: string;
}

/** The program as it is installed, in a process of its own. */
function doctor(args: string[], env: Record<string, string> = {}): Promise<Run> {
  const { entra } = here;
  const azure = {
    AZURE_TENANT_ID: entra.tenantId,
    AZURE_CLIENT_ID: entra.clientId,
    AZURE_CLIENT_SECRET: entra.clientSecret,
    AZURE_AUTHORITY_HOST: entra.url,
  };
  return new Promise((resolve) => {
    const options = { env: { PATH: process.env.PATH, ...azure, ...env } };
    execFile(process.execPath, [MAIN, 'doctor', ...args], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

const there = (): string[] => ['--server', 'localhost', '--port', String(here.server.port), '--ca', ca];

test('with the environment of an application it prints a tick for each step, without colour into a pipe', async () => {
  const { code, stdout } = await doctor([...there(), '--database', 'app']);
  expect(stdout).toMatch(
    /^✓ name resolution +localhost is .* ms\n✓ TCP [^✗]*✓ encryption [^✗]*✓ certificate [^✗]*✓ token [^✗]*✓ login [^✗]*✓ identity [^✗]*✓ query [^✗]*All well, in \d+ ms\. Settings for here: encrypt: true, /,
  );
  expect(stdout).not.toContain('\u001b[');
  expect(stdout).not.toContain(here.entra.clientSecret);
  expect(code).toBe(0);
});

test('at a cross it stops with the likely cause and the next step; the exit code tells the stage', async () => {
  const { code, stdout } = await doctor([...there(), '--database', 'ap']);
  expect(stdout).toMatch(
    /✗ login +Cannot open database "ap".*\n\n {2}Likely cause {2}There is no such database.*\n {2}Next step {5}Check the name/,
  );
  expect(stdout).not.toContain('identity');
  expect(code).toBe(15);
});

test('--json is for scripts', async () => {
  const { code, stdout } = await doctor([...there(), '--json'], { AZURE_CLIENT_SECRET: 'not-the-secret' });
  const result = JSON.parse(stdout);
  expect(result).toMatchObject({ ok: false, exitCode: 14 });
  expect(result.steps.at(-1)).toMatchObject({ step: 'token', ok: false, failure: { aadsts: 7000215 } });
  expect(stdout).not.toContain('not-the-secret');
  expect(code).toBe(14);
});

test('takes a connection string, from the environment too', async () => {
  const text = `Server=localhost,${here.server.port};Database=app;User ID=ada;Password=Wrong-1!`;
  const { code, stdout } = await doctor(['--ca', ca], { SQL_CONNECTION_STRING: text });
  expect(stdout).toContain("✗ login            Login failed for user 'ada'.");
  expect(stdout).not.toContain('Wrong-1!');
  expect(code).toBe(15);
});

test('wrong usage is told on stderr, with code 2', async () => {
  const runs = await Promise.all([
    doctor(['--sever', 'x']),
    doctor([]),
    doctor(['--server', 'x', '--authentication', 'magic']),
  ]);
  expect(runs.map(({ code }) => code)).toEqual([2, 2, 2]);
  expect(runs[0]?.stderr).toContain('--sever');
  expect(runs[1]?.stderr).toContain('Give --server');
  expect(runs[2]?.stderr).toContain("no credential method 'magic'");
});

test('--help tells all options', async () => {
  const { code, stdout } = await doctor(['--help']);
  expect(stdout).toMatch(/--server S[\s\S]*--json[\s\S]*Exit code/);
  expect(code).toBe(0);
});

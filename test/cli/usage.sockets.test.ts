import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { startEntraEmulator } from '../../src/testing/index.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

function program(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

test('without a command the program lists its commands', async () => {
  const { code, stdout } = await program('--help');
  expect(stdout).toMatch(/demo .*\n.*doctor .*\n.*gateway .*\n.*entra /);
  expect(code).toBe(0);
  expect(await program()).toMatchObject({ code: 0, stdout });
  expect(await program('help', 'nonsense')).toMatchObject({ code: 0, stdout });
});

test.each(['doktor', 'constructor', '--port'])('unknown command %s: named, with the list of commands', async (name) => {
  const { code, stdout, stderr } = await program(name);
  expect(stderr).toMatch(`unknown command '${name}'\n\nUsage: mssql-token-pool <command>`);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
});

test('--version prints the version', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  expect(await program('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
});

test.each([['entra'], ['gateway', '--upstream', 'localhost', '--user', 'sa', '--password', 'x']])(
  '%s on a port that is in use says which, and what to do',
  async (...command) => {
    await using entra = await startEntraEmulator();
    const port = new URL(entra.url).port;
    const issuer = command[0] === 'gateway' ? ['--entra', `${entra.url}/${entra.tenantId}`] : [];
    const { code, stderr } = await program(...command, ...issuer, '--listen', port);
    expect(stderr).toBe(
      `Port ${port} on 127.0.0.1 is in use by another program. Stop it, or choose another port with --listen.\n`,
    );
    expect(code).toBe(1);
  },
);

test.each([
  ['/no/such/folder/out.html', 'the folder /no/such/folder does not exist'],
  [tmpdir(), `${tmpdir()} is a directory`],
])('demo refuses a report that it could not write, before the run: %s', async (file, why) => {
  const { code, stdout, stderr } = await program('demo', '--report', file);
  expect(stderr).toContain(`--report ${file}: ${why}`);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
});

test.each(['demo', 'doctor', 'gateway', 'entra'])(
  '%s lists its options, and names the position of an option that it does not know',
  async (name) => {
    const help = await program(name, '--help');
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toMatch(`Usage: mssql-token-pool ${name} `);

    expect(await program('help', name)).toEqual(help);

    const wrong = await program(name, '--nonsense');
    expect(wrong).toMatchObject({ code: 2, stdout: '' });
    expect(wrong.stderr).toContain('argument 1');
    expect(wrong.stderr).not.toContain('nonsense');
    expect(wrong.stderr).not.toMatch(/^ +at /m);
  },
);

test('demo rejects --seconds that is not a number', async () => {
  const { code, stderr } = await program('demo', '--seconds', 'soon');
  expect(stderr).toContain('--seconds soon: give a number greater than 0');
  expect(code).toBe(2);
});

test.each(['db:99999', 'db:x', ''])('gateway rejects an --upstream that is not a server: %s', async (upstream) => {
  const { code, stdout, stderr } = await program('gateway', '--upstream', upstream, '--entra', 'http://localhost:9');
  expect(stderr).toContain('--upstream: give a server, or a server and a port');
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
});

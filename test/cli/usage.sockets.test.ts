import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
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

test.each([
  ['doktor', " Did you mean 'doctor'?"],
  ['demmo', " Did you mean 'demo'?"],
  ['constructor', ''],
  ['--port', ''],
])('unknown command %s: named, with the list of commands', async (name, meant) => {
  const { code, stdout, stderr } = await program(name);
  expect(stderr).toMatch(`unknown command '${name}'.${meant}\n\nUsage: mssql-token-pool <command>`);
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

test.each([['entra'], ['gateway', '--upstream', 'localhost', '--user', 'sa', '--password', 'x']])(
  '%s ends when the port of --faults is in use, and names that option',
  async (...command) => {
    await using entra = await startEntraEmulator();
    const port = new URL(entra.url).port;
    const issuer = command[0] === 'gateway' ? ['--entra', `${entra.url}/${entra.tenantId}`] : [];
    const { code, stderr } = await program(...command, ...issuer, '--listen', '0', '--faults', port);
    expect(stderr).toMatch(new RegExp(`^Port ${port} on 127\\.0\\.0\\.1 .* choose another port with --faults\\.\\n$`));
    expect(code).toBe(1);
  },
);

test('gateway refuses a --certificate-out that it could not write, before it listens', async () => {
  const wanted = ['--upstream', 'localhost', '--entra', 'http://localhost:9/t', '--certificate-out', '/no/such/c.pem'];
  const { code, stdout, stderr } = await program('gateway', ...wanted);
  expect(stderr).toContain('--certificate-out /no/such/c.pem: the folder /no/such does not exist');
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
});

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

test.each([
  ['demo', '--second', '--seconds'],
  ['doctor', '--servr', '--server'],
  ['gateway', '--upstrem', '--upstream'],
  ['entra', '--lifetme', '--lifetime'],
])('%s suggests the option that %s resembles', async (name, given, meant) => {
  expect((await program(name, given)).stderr).toContain(`Did you mean '${meant}'?`);
});

test('doctor lists every method of --authentication, including the SQL login', async () => {
  const { code, stderr } = await program('doctor', '--server', 's', '--authentication', 'manged-identity');
  expect(stderr).toMatch(
    /^Unknown credential method for --authentication\. Did you mean 'managed-identity'\?\nMethods: .*managed-identity.*sql-login/,
  );
  expect(code).toBe(2);
});

test.concurrent.each([
  ['--help'],
  ['demo', '--seconds', '1'],
  ['doctor', '--server', 'localhost,1', '--timeout', '1'],
  ['entra', '--listen', '0'],
  ['gateway', '--upstream', 'localhost', '--user', 'sa', '--password', 'x', '--listen', '0'],
])('%s ends quietly when its output is no longer read', async (...args) => {
  await using entra = await startEntraEmulator();
  if (args[0] === 'gateway') args.push('--entra', `${entra.url}/${entra.tenantId}`);
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk) => (stderr += String(chunk)));
  const [code] = await once(child, 'close');
  expect({ code, stderr }).toEqual({ code: 141, stderr: expect.not.stringMatching(/EPIPE|\n {4}at /) });
});

test.skipIf(!existsSync('/dev/full'))(
  'demo ends with exit code 1 when its report cannot be written at the end',
  async () => {
    const { code, stdout, stderr } = await program('demo', '--seconds', '1', '--report', '/dev/full');
    expect(stderr).toMatch(/^--report \/dev\/full: the report could not be written: ENOSPC/);
    expect(stdout).toContain('Run it for 8 s or longer');
    expect(code).toBe(1);
  },
);

test.skipIf(!existsSync('/dev/full'))('--help ends with exit code 1 when its output cannot be written', async () => {
  const full = openSync('/dev/full', 'w');
  const child = spawn(process.execPath, [MAIN, '--help'], { stdio: ['ignore', full, 'pipe'] });
  closeSync(full);
  let stderr = '';
  child.stderr?.on('data', (chunk) => (stderr += String(chunk)));
  const [code] = await once(child, 'close');
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringMatching(/^The output could not be written: ENOSPC[^\n]*\n$/),
  });
});

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

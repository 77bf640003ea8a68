import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

function program(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

test('without a command the program tells which there are', async () => {
  const { code, stdout } = await program('--help');
  expect(stdout).toMatch(/demo .*\n.*doctor .*\n.*gateway .*\n.*entra /);
  expect(code).toBe(0);
  expect(await program('doktor')).toMatchObject({ code: 2, stderr: stdout });
});

test.each(['demo', 'doctor', 'gateway', 'entra'])(
  '%s tells its options, and what was wrong with them',
  async (name) => {
    const help = await program(name, '--help');
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toMatch(`Usage: mssql-token-pool ${name} `);

    const wrong = await program(name, '--nonsense');
    expect(wrong).toMatchObject({ code: 2, stdout: '' });
    expect(wrong.stderr).toContain("'--nonsense'");
    expect(wrong.stderr).not.toMatch(/^ +at /m);
  },
);

test('demo wants a number of seconds', async () => {
  const { code, stderr } = await program('demo', '--seconds', 'soon');
  expect(stderr).toContain('--seconds soon: give a number greater than 0');
  expect(code).toBe(2);
});

test.each(['db:99999', 'db:x', ''])('gateway wants a server to stand in front of: %s', async (upstream) => {
  const { code, stdout, stderr } = await program('gateway', '--upstream', upstream, '--entra', 'http://localhost:9');
  expect(stderr).toContain(`--upstream ${upstream}: give a server, or a server and a port`);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
});

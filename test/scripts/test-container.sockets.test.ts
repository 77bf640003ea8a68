import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../scripts/test-container.mjs', import.meta.url));
const LOGIN = ['--server', 'db.example', '--port', '1444', '--user', 'sa', '--password=a=b'];

// In the place of npx, something that shows what it was called with.
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mssql-token-pool-'));
  const npx = join(folder, 'npx');
  await writeFile(npx, '#!/bin/sh\nprintf "%s\\n" "$SERVER_UNDER_TEST" "$@"\n');
  await chmod(npx, 0o755);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function called(...args: string[]): Promise<{ server: unknown; vitest: string[] }> {
  const env = { ...process.env, PATH: `${folder}${delimiter}${process.env.PATH}` };
  const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT, ...args], { env });
  const [server = '', ...rest] = stdout.trimEnd().split('\n');
  return { server: JSON.parse(server), vitest: rest.slice(rest.indexOf('vitest.container.config.ts') + 1) };
}

test('passes the server to the tests, and the other arguments to vitest in order', async () => {
  const { server, vitest } = await called(...LOGIN, '-t', 'makes tables', 'orms', '--bail=1', '--reporter', 'dot');
  expect(server).toEqual({ server: 'db.example', port: 1444, user: 'sa', password: 'a=b' });
  expect(vitest).toEqual(['-t', 'makes tables', 'orms', '--bail=1', '--reporter', 'dot']);
});

test('passes everything after a second -- to vitest', async () => {
  const { vitest } = await called(...LOGIN, 'orms', '--', '--port', '7', '-t', 'x');
  expect(vitest).toEqual(['orms', '--port', '7', '-t', 'x']);
});

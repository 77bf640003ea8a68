import { spawn } from 'node:child_process';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { type EntraEmulator, startEntraEmulator, startSqlEmulator } from '../../src/testing/index.js';

const dist = pathToFileURL(join(import.meta.dirname, '../../dist/index.js')).href;

/** Runs a program against the emulators in a process of its own; resolves when it has ended by itself. */
async function run(
  body: string,
  prepare: (entra: EntraEmulator) => object = () => ({}),
): Promise<{ code: number | null; output: string; left: number; tokenRequests: number }> {
  await using entra = await startEntraEmulator();
  await using server = await startSqlEmulator({ entra });
  const file = join(await mkdtemp(join(tmpdir(), 'mssql-token-pool-')), 'program.mjs');
  const { tenantId, clientId, clientSecret, url } = entra;
  const authentication = { tenantId, clientId, clientSecret, authority: url };
  await writeFile(
    file,
    `import { createTokenPool } from ${JSON.stringify(dist)};
     process.on('unhandledRejection', (error) => { console.log('UNHANDLED', error); process.exitCode = 3; });
     const config = ${JSON.stringify({ ...server.config({ user: 'x' }), user: undefined, authentication, connectionTimeout: 300_000 })};
     ${body}`,
  );
  const child = spawn(process.execPath, [file], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...prepare(entra) },
  });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  await expect.poll(() => server.connections.open).toBe(0);
  return { code, output, left: server.connections.open, tokenRequests: entra.requests.length };
}

test('a process ends by itself after close()', async () => {
  const ended = await run(`
    const pool = createTokenPool({ ...config, pool: { min: 2 } });
    await pool.use(() => undefined);
    await pool.close();
    console.log('done', process.getActiveResourcesInfo().filter((name) => !/Pipe|TTY|Immediate/.test(name)).join());
  `);
  expect(ended).toEqual({ code: 0, output: expect.stringMatching(/^done/), left: 0, tokenRequests: 1 });
});

test('a process ends by itself without close(), once its connections are idle', async () => {
  const ended = await run(`
    const pool = createTokenPool({ ...config, pool: { min: 1, max: 3, idleTimeoutMillis: 100 } });
    await Promise.all([1, 2, 3].map(() => pool.use(() => undefined)));
    console.log('done');
  `);
  expect(ended).toMatchObject({ code: 0, output: 'done\n' });
});

test('a process whose logins all fail ends by itself, with its errors handled', async () => {
  const ended = await run(`
    const pool = createTokenPool({ ...config, port: 1, pool: { min: 2 } });
    const codes = await Promise.all([1, 2].map(() => pool.acquire().catch((error) => error.code)));
    console.log(codes.join());
  `);
  expect(ended).toMatchObject({ code: 0, output: 'ERR_SERVER_UNAVAILABLE,ERR_SERVER_UNAVAILABLE\n' });
});

test('a process whose managed identity is not ready ends after close() without waiting', async () => {
  const ended = await run(
    `
    const pool = createTokenPool({ ...config, authentication: { method: 'managed-identity' } });
    const waiting = pool.acquire().catch((error) => console.log(error.code));
    setTimeout(() => pool.close(), 200);
    `,
    (entra) => {
      entra.fail({ status: 404 });
      return entra.managedIdentity.imds.env;
    },
  );
  expect(ended).toMatchObject({ code: 0, output: 'ERR_POOL_CLOSED\n', tokenRequests: 1 });
});

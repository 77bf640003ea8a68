import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);
const examples = join(import.meta.dirname, '../../examples');

/** EXAMPLE_MS shortens the run. Tokens live five seconds in all of them; most of the time they wait. */
test.concurrent.each([
  ['web-api.mjs', '6000', /requests served, 0 failed/],
  ['batch-job.mjs', '6000', /on 1 session\nafterwards a fresh connection: yes/],
  ['stream-worker.mjs', '6000', /[1-9]\d* copies of 20000 rows, 0 incomplete/],
  ['serverless-handler.mjs', '5500', /one[\s\S]*two[\s\S]*three/],
  ['express-per-user.mjs', '6000', /answers to the right user, 0 wrong or failed, without a token: 401/],
  ['fastify-per-user.mjs', '6000', /answers to the right user, 0 wrong or failed, without a token: 401/],
  [
    'mcp-server.mjs',
    '6000',
    /\d{2} answers to the right user, 0 wrong or failed\n1000 rows: 100 returned, truncated: true\n.*500ms\na forged token: 401/,
  ],
  ['remember-sign-in.mjs', '0', /first start: .* 1 prompts\nsecond start: .* 0 prompts\n.*user name: no/],
  ['commonjs.cjs', '0', /answer: 42/],
])('examples/%s runs against the emulators', async (file, ms, expected) => {
  const env = { ...process.env, EXAMPLE_MS: ms };
  // The output says more than the exit code.
  const { stdout } = await run(process.execPath, [join(examples, file)], { env }).catch((error) => error);
  expect(stdout).toMatch(expected);
  expect(stdout).toMatch(/ 0 refused/);
});

test('examples/health-probes.mjs answers readiness probes', async () => {
  const { stdout } = await run(process.execPath, [join(examples, 'health-probes.mjs')]);
  expect(stdout).toMatch(/healthy: 200 200 up\nwithout a login: 503 503 down\nrecovered: 200 200 up\n.* 1 refused/);
});

test('examples/sign-in-in-key-ring.mjs keeps the sign-in in the key ring, or explains why it cannot', async () => {
  const { stdout } = await run(process.execPath, [join(examples, 'sign-in-in-key-ring.mjs')]);
  if (stdout.startsWith('skipped'))
    expect(stdout).toMatch(/^skipped: @azure\/msal-node-extensions cannot be used here \(.+\)\n$/);
  else expect(stdout).toMatch(/first start: .* 1 prompts\n(.*\n)*second start: .* 0 prompts\n.* 0 refused/);
});

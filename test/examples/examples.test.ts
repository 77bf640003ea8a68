import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);
const examples = join(import.meta.dirname, '../../examples');

/** EXAMPLE_MS shortens what a person would watch; tokens live three seconds in all of them. */
test.each([
  ['web-api.mjs', '4000', /requests served, 0 failed/],
  ['batch-job.mjs', '4000', /on 1 session\nafterwards a fresh connection: yes/],
  ['serverless-handler.mjs', '3500', /one[\s\S]*two[\s\S]*three/],
  ['express-per-user.mjs', '4000', /answers to the right user, 0 wrong or failed, without a token: 401/],
  ['fastify-per-user.mjs', '4000', /answers to the right user, 0 wrong or failed, without a token: 401/],
  ['remember-sign-in.mjs', '0', /first start: .* 1 prompts\nsecond start: .* 0 prompts\n.*user name: no/],
  ['commonjs.cjs', '0', /answer: 42/],
])('examples/%s runs against the emulators', async (file, ms, expected) => {
  const { stdout } = await run(process.execPath, [join(examples, file)], { env: { ...process.env, EXAMPLE_MS: ms } });
  expect(stdout).toMatch(expected);
  expect(stdout).toMatch(/ 0 refused/);
});

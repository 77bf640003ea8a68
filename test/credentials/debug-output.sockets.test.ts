import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EntraEmulator, startEntraEmulator } from '../../src/testing/index.js';

const dist = pathToFileURL(join(import.meta.dirname, '../../dist/index.js')).href;
const execute = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'debug-output-'));
const PASSWORD = 'passw0rd-to-hide';
let entra: EntraEmulator;

beforeAll(async () => {
  entra = await startEntraEmulator({ user: { password: PASSWORD } });
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await entra.close();
});

/** Everything a program prints with all debug switches on, and the tokens it got, which it writes to a file. */
async function run(options: object): Promise<{ printed: string; tokens: string[] }> {
  const file = join(folder, 'tokens.json');
  const program = `
    import { writeFileSync } from 'node:fs';
    import { createCredential, TokenCache } from ${JSON.stringify(dist)};
    const credential = createCredential(${JSON.stringify(options)});
    const tokens = new TokenCache(credential);
    const sent = [];
    for (const scope of ['https://database.windows.net/.default', 'https://vault.azure.net/.default']) {
      sent.push((await tokens.getToken(scope)).token);
    }
    console.log(credential, tokens, tokens.current(), credential.principal, JSON.stringify([credential, tokens, tokens.current()]));
    console.error(await tokens.get('https://no.such.example/.default').catch((error) => error));
    writeFileSync(${JSON.stringify(file)}, JSON.stringify(sent));
  `;
  const env = { ...process.env, DEBUG: '*', AZURE_LOG_LEVEL: 'verbose' };
  const { stdout, stderr } = await execute(process.execPath, ['--input-type=module', '--eval', program], { env });
  return { printed: stdout + stderr, tokens: JSON.parse(await readFile(file, 'utf8')) as string[] };
}

test.each([
  ['an application', () => ({ clientId: entra.clientId, clientSecret: entra.clientSecret })],
  ['a person', () => ({ username: entra.user.userName, password: PASSWORD })],
])('with every debug switch on, %s shows neither secret nor token', async (_, who) => {
  const { printed, tokens } = await run({ tenantId: entra.tenantId, authority: entra.url, ...who() });
  expect(tokens).toHaveLength(2);
  expect(printed).toContain('AADSTS500011');
  for (const secret of [entra.clientSecret, PASSWORD, ...tokens]) {
    expect(printed).not.toContain(secret);
    expect(printed).not.toContain(encodeURIComponent(secret));
  }
});

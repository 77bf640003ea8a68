import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { METHOD_NAMES } from '../../../src/credentials/create-credential.js';
import { ProcessWatch } from '../process-watch.js';
import { scripts } from './hostile-provider.js';
import { askHostileProviders, type Exchange, METHODS } from './over-http.js';
import { FILE_KINDS } from './token-files.js';

/** Scripts for each method, the same in every run; `npm run fuzz` makes others. */
const SCRIPTS = 8;
const SEED = 1;

const watch = new ProcessWatch();
afterAll(() => watch[Symbol.dispose]());

const broken: { method: string; line: string }[] = [];
beforeAll(async () => {
  const random = fc.sample(scripts, { seed: SEED, numRuns: SCRIPTS * Object.keys(METHODS).length });
  const exchanges = random.map((script, index): Exchange => {
    const method = Object.keys(METHODS)[Math.floor(index / SCRIPTS)] as string;
    return { method, script, file: index % 2 === 0 ? 'a token' : FILE_KINDS[index % FILE_KINDS.length] };
  });
  await askHostileProviders(exchanges, watch, ({ method }, lines) =>
    broken.push(...lines.map((line) => ({ method, line }))),
  );
});

test.each(Object.keys(METHODS))('%s keeps its promises with whatever an identity provider answers', (method) => {
  expect(broken.filter((each) => each.method === method).map(({ line }) => line)).toEqual([]);
});

/** Methods that talk to no identity provider over HTTP, with the test that is hostile to them. */
const WITHOUT_HTTP: Readonly<Record<string, string>> = {
  'access-token': 'credentials/methods/own-token.test.ts',
  'azure-cli': 'credentials/methods/developer-tools.sockets.test.ts',
  'azure-developer-cli': 'credentials/methods/developer-tools.sockets.test.ts',
  'azure-powershell': 'credentials/methods/developer-tools.sockets.test.ts',
  'token-credential': 'hostile/identity/credential-objects.test.ts',
};

test('every method of createCredential() is among them', () => {
  const tried = Object.values(METHODS).map(({ name }) => name);
  expect([...new Set([...tried, ...Object.keys(WITHOUT_HTTP)])].sort()).toEqual([...METHOD_NAMES].sort());
  for (const file of Object.values(WITHOUT_HTTP)) {
    expect(existsSync(new URL(`../../${file}`, import.meta.url)), file).toBe(true);
  }
});

test('nothing is thrown at the process between the exchanges', () => {
  expect(watch.strays).toEqual([]);
});

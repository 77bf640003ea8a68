import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { CHANNEL_NAMES } from '../../src/channels.js';
import { EXIT_CODES } from '../../src/cli/doctor/step.js';
import { LOGIN_REFUSALS } from '../../src/connections/login-refusals.js';
import { settingsFrom } from '../../src/connections/settings.js';
import { METHOD_NAMES } from '../../src/credentials/create-credential.js';
import * as errors from '../../src/errors.js';
import { BREAKS } from '../simulation/breaks.js';
import { methodsOf } from '../support/method-of.js';
import { pages, ROOT, read, snippetsOf } from './snippets.js';

const page = (name: string) => read(`docs/${name}.md`);

test('the page about errors lists every class with its code', () => {
  const text = page('errors');
  for (const [name, Kind] of Object.entries(errors)) {
    const { code } = new Kind('');
    expect(text, name).toMatch(new RegExp(`\\| \`${code}\` +\\| \`${name}\` `));
  }
});

test('the page about errors repeats what the library says about each refusal of a login', () => {
  const text = page('errors').replace(/ +\|/g, ' |');
  for (const [number, { cause, next }] of LOGIN_REFUSALS) expect(text).toContain(`| ${number} | ${cause} | ${next} |`);
});

test('the page about settings lists the defaults in force', () => {
  const text = page('settings');
  const { pool } = settingsFrom({ server: 's', authentication: () => 'token' });
  for (const [key, value] of Object.entries(pool)) {
    const shown =
      value === undefined
        ? 'none'
        : typeof value === 'string'
          ? `\`'${value}'\``
          : Number(value).toLocaleString('en-US');
    expect(text, key).toMatch(new RegExp(`\\| \`pool\\.${key}\` +\\| ${shown} +\\|`));
  }
});

test('the pages list every channel of telemetry and every exit code of the doctor', () => {
  for (const name of CHANNEL_NAMES) expect(page('telemetry')).toContain(`| \`${name}\` `);
  for (const [step, code] of Object.entries(EXIT_CODES)) {
    expect(page('doctor')).toMatch(new RegExp(`\\| ${step} .*\\| ${code} +\\|`));
  }
});

test('the page about credentials has a snippet for every method', () => {
  // Some options of a method are enough; the snippets themselves are run by snippets.sockets.test.ts.
  const code = snippetsOf('docs/which-credential.md').map((snippet) => snippet.shown);
  const objects = code.flatMap((text) =>
    [...text.matchAll(/(?:createCredential\(|authentication: )\{([^{}]*)/g)].map((match) => match[1] ?? ''),
  );
  const shown = objects.flatMap((text) => {
    const keys = [...text.matchAll(/(?:^|,)\s*(\w+)/g)].map((match) => match[1] as string);
    return methodsOf(keys, /\bmethod: '([\w-]+)'/.exec(text)?.[1]);
  });
  // Passed as it is: `authentication: new DefaultAzureCredential()`.
  if (code.some((text) => text.includes('authentication: new DefaultAzureCredential()')))
    shown.push('token-credential');
  expect([...new Set(shown)].sort()).toEqual([...METHOD_NAMES].sort());
});

const LINKING = [...pages(), 'CONTRIBUTING.md', 'SECURITY.md', 'examples/README.md'];

test.each(LINKING)('links and pictures of %s are not dead', (file) => {
  const text = read(file);
  const markdown = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] as string);
  const pictures = [...text.matchAll(/\bsrc(?:set)?="([^"]+)"/g)].map((match) => match[1] as string);
  const links = [...markdown, ...pictures].filter((link) => !/^https?:/.test(link));
  const dead = links.filter((link) => {
    const [path = '', heading] = link.split('#');
    const target = path === '' ? file : join(dirname(file), path);
    if (!existsSync(new URL(target, ROOT))) return true;
    return heading !== undefined && !headingsOf(target).has(heading);
  });
  expect(dead).toEqual([]);
});

/** As anchors, as the forge and the site derive them. */
function headingsOf(file: string): Set<string> {
  const headings = [...read(file).matchAll(/^#+ (.+)$/gm)].map((match) => match[1] as string);
  return new Set(
    headings.map((text) =>
      text
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ),
  );
}

test('the picture of the timeline exists in light and dark, and is small', () => {
  for (const scheme of ['light', 'dark']) {
    expect(read('README.md')).toContain(`docs/images/timeline-${scheme}.png`);
    expect(statSync(new URL(`docs/images/timeline-${scheme}.png`, ROOT)).size).toBeLessThan(150_000);
  }
});

test('the README has the table of docs/conformance.md in short', async () => {
  // @ts-expect-error a script without types
  const { readmeWithTable } = await import('../../scripts/conformance/page.mjs');
  expect(read('README.md')).toBe(readmeWithTable(read('README.md'), read('docs/conformance.md')));
});

test('the sidebar of the site links to every page', () => {
  const links = [...read('docs/.vitepress/config.mts').matchAll(/^ +\['([\w-]+)', '/gm)].map(
    (match) => `docs/${match[1]}.md`,
  );
  const there = pages().filter((page) => page !== 'README.md' && page !== 'docs/index.md');
  expect(links.sort()).toEqual(there.sort());
});

test('every promise has its tests, and a break of it in the simulation that is caught', () => {
  const text = read('docs/promises.md');
  const promises = [...text.matchAll(/^\| (P\d+) +\|[^|]*\|$/gm)].map((match) => match[1]);
  const rows = [...text.matchAll(/^\| (P\d+) +\|([^|]*)\|([^|]*)\|$/gm)];
  expect(promises).toEqual(Array.from({ length: 12 }, (_, i) => `P${i + 1}`));
  expect(rows.map((row) => row[1])).toEqual(promises);
  for (const [, promise = '', tests = '', simulated = ''] of rows) {
    const files = [...tests.matchAll(/`([^`]+)`/g)].map((match) => match[1] as string);
    expect(files.length, promise).toBeGreaterThan(0);
    expect(files.filter((file) => !existsSync(new URL(file, ROOT)))).toEqual([]);
    const inSimulation = BREAKS.some((each) => each.promise === promise);
    expect(simulated.trim() !== '-', promise).toBe(inSimulation);
  }
});

test('every file that CONTRIBUTING names exists', () => {
  const text = read('CONTRIBUTING.md');
  const quoted = [...text.matchAll(/`((?:src|test|docs|scripts)\/[\w./-]*)`/g)].map((match) => match[1] as string);
  // The map leaves `src/` out.
  const folders = /^(?:mssql|orm|pool|tokens|connections|credentials|identities)\//;
  const mapped = [...text.matchAll(/[\w-]+\/[\w./*-]+/g)].map(([path]) => path).filter((path) => folders.test(path));
  const files = [...quoted, ...mapped.map((path) => `src/${path.replace(/\*.*$/, '')}`)];
  expect(files.length).toBeGreaterThan(30);
  expect(files.filter((file) => !existsSync(new URL(file, ROOT)))).toEqual([]);
});

test('the API reference covers every entry point', () => {
  const { exports } = JSON.parse(read('package.json')) as { exports: Record<string, { default?: { types: string } }> };
  const types = Object.values(exports).flatMap((each) => each.default?.types ?? []);
  const sources = types.map((path) => path.replace('./dist/', 'src/').replace('.d.ts', '.ts'));
  expect(JSON.parse(read('typedoc.json')).entryPoints.sort()).toEqual(sources.sort());
});

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { commandsOf, pages, read } from './snippets.js';

const root = new URL('../../', import.meta.url);
const here = (path: string) => fileURLToPath(new URL(path, root));
const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };

const texts = [...pages(), 'CONTRIBUTING.md', 'examples/README.md'];
/** Commands of shell snippets, and those in the middle of a sentence. */
const commands = texts.flatMap((page) => {
  const inline = [...read(page).matchAll(/`((?:npm|npx|node|bash) [^`\n]+)`/g)].map((match) => match[1] as string);
  return [...commandsOf(page), ...inline].flatMap((line) => line.split(' && ')).map((command) => ({ page, command }));
});

test('every npm script that a page names exists', () => {
  const named = commands.flatMap(({ page, command }) => {
    const script = /^npm run (?:--silent )?([\w:-]+)/.exec(command)?.[1];
    return script === undefined ? [] : [{ page, script }];
  });
  expect(named.length).toBeGreaterThan(4);
  expect(named.filter(({ script }) => scripts[script] === undefined)).toEqual([]);
});

test('every file that a page runs exists', () => {
  const named = commands.flatMap(({ page, command }) => {
    const file = /^(?:node|bash)(?: --?[\w=/-]+)* ([\w./-]+)/.exec(command)?.[1];
    return file === undefined || file === 'app.js' ? [] : [{ page, file }];
  });
  expect(named.length).toBeGreaterThan(2);
  expect(named.filter(({ file }) => !existsSync(here(file)))).toEqual([]);
});

test('every command and option that a page uses exists', () => {
  const help = new Map<string, string>();
  const helpOf = (name: string): string => {
    const known =
      help.get(name) ?? execFileSync(process.execPath, [here('dist/cli/main.js'), name, '--help']).toString();
    help.set(name, known);
    return known;
  };
  const named = commands.flatMap(({ page, command }) => {
    const [, name, args] = /^npx (?:-y )?mssql-token-pool(?: (\w+)(.*))?/.exec(command) ?? [];
    return name === undefined ? [] : [{ page, name, options: args?.match(/--[\w-]+/g) ?? [] }];
  });
  // What comes after `npm run demo --` goes to the program too.
  for (const { page, command } of commands) {
    const options = /^npm run demo -- (.*)/.exec(command)?.[1]?.match(/--[\w-]+/g);
    if (options !== undefined && options !== null) named.push({ page, name: 'demo', options });
  }
  expect(new Set(named.map(({ name }) => name))).toEqual(new Set(['demo', 'doctor', 'entra', 'gateway']));
  for (const { page, name, options } of named) {
    for (const option of options) expect(helpOf(name), `${page}: ${name} ${option}`).toMatch(`  ${option} `);
  }
});

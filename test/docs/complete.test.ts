import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CHANNEL_NAMES } from '../../src/channels.js';
import { EXIT_CODES } from '../../src/cli/doctor/step.js';
import { settingsFrom } from '../../src/connections/settings.js';
import * as errors from '../../src/errors.js';
import { pages } from './snippets.js';

const page = (name: string) => readFileSync(new URL(`../../docs/${name}.md`, import.meta.url), 'utf8');

test('the page of errors names every class with its code', () => {
  const text = page('errors');
  for (const [name, Kind] of Object.entries(errors)) {
    const { code } = new Kind('');
    expect(text, name).toMatch(new RegExp(`\\| \`${code}\` +\\| \`${name}\` `));
  }
});

test('the page of settings tells the defaults that are in force', () => {
  const text = page('settings');
  const { pool } = settingsFrom({ server: 's', authentication: () => 'token' });
  for (const [key, value] of Object.entries(pool)) {
    const told = value === undefined ? 'none' : Number(value).toLocaleString('en-US');
    expect(text, key).toMatch(new RegExp(`\\| \`pool\\.${key}\` +\\| ${told} +\\|`));
  }
});

test('the page of telemetry names every channel, that of the doctor every exit code', () => {
  for (const name of CHANNEL_NAMES) expect(page('telemetry')).toContain(`| \`${name}\` `);
  for (const [step, code] of Object.entries(EXIT_CODES)) {
    expect(page('doctor')).toMatch(new RegExp(`\\| ${step} .*\\| ${code} +\\|`));
  }
});

test('links between pages lead somewhere', () => {
  const names = new Set(pages().map((file) => file.replace(/^docs\//, '')));
  for (const file of pages().filter((name) => name.startsWith('docs/'))) {
    const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
    const links = [...text.matchAll(/\]\(([\w-]+\.md)(#[\w-]+)?\)/g)].map((match) => match[1] as string);
    expect(
      links.filter((link) => !names.has(link)),
      file,
    ).toEqual([]);
  }
});

import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import type { Timeline } from '../../src/telemetry/timeline.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

test('demo --report writes a page that shows refused logins with stock mssql, and none with ours', {
  timeout: 90_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'demo-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'out.html');
  await promisify(execFile)(process.execPath, [MAIN, 'demo', '--seconds', '8', '--report', file]);
  const data = /<script id="timelines" type="application\/json">(.*?)<\/script>/s.exec(readFileSync(file, 'utf8'))?.[1];
  const [stock, ours] = JSON.parse(data ?? '') as [Timeline, Timeline];
  const count = ({ events }: Timeline, kind: string) => events.filter((event) => event.kind === kind).length;
  expect(count(stock, 'login-refused')).toBeGreaterThan(0);
  expect(count(stock, 'failure')).toBeGreaterThan(0);
  expect(count(ours, 'login-refused')).toBe(0);
  expect(count(ours, 'failure')).toBe(0);
  expect(count(ours, 'token')).toBeGreaterThan(1);
});

import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readStart } from '../../../src/credentials/input/read-file.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'read-file-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('reads a file, and no more of it than requested', async () => {
  const path = join(folder, 'token');
  writeFileSync(path, 'x'.repeat(100));
  expect((await readStart(path, 100)).toString()).toBe('x'.repeat(100));
  expect(await readStart(path, 50)).toHaveLength(51);
});

test.skipIf(process.platform === 'win32')(
  'named pipes without a writer do not stop the other files of the process',
  async () => {
    // libuv has four threads for files and host names.
    const pipes = Array.from({ length: 8 }, (_, index) => join(folder, `pipe-${index}`));
    execFileSync('mkfifo', pipes);
    const reads = pipes.map((path) => readStart(path, 100));
    const ordinary = join(folder, 'ordinary');
    writeFileSync(ordinary, 'here');
    try {
      let content = '';
      readFile(ordinary, 'utf8').then((text) => {
        content = text;
      });
      await expect.poll(() => content, { timeout: 10_000 }).toBe('here');
      expect((await Promise.all(reads)).map(String)).toEqual(pipes.map(() => ''));
    } finally {
      // Ends the reads of a failed test, which would otherwise keep the threads busy.
      for (const path of pipes) closeSync(openSync(path, 'r+'));
    }
  },
);

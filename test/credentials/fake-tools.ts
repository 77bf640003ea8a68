import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { vi } from 'vitest';

/** A PATH that contains only the programs installed by a test. */
export class FakeTools {
  readonly folder = mkdtempSync(join(tmpdir(), 'tools-'));

  constructor() {
    mkdirSync(this.folder, { recursive: true });
    vi.stubEnv('PATH', [this.folder, '/usr/bin', '/bin'].join(delimiter));
  }

  /** Installs a shell script that records its arguments, one per line. */
  install(command: string, script: string): void {
    const path = join(this.folder, command);
    const note = `for a in "$@"; do printf '%s\\n' "$a" >> '${path}.args'; done\nprintf -- '---\\n' >> '${path}.args'\n`;
    writeFileSync(path, `#!/bin/sh\n${note}${script}\n`, { mode: 0o755 });
  }

  /** Arguments of each run so far. */
  runs(command: string): string[][] {
    try {
      const text = readFileSync(join(this.folder, `${command}.args`), 'utf8');
      return text
        .split('---\n')
        .slice(0, -1)
        .map((run) => run.split('\n').slice(0, -1));
    } catch {
      return [];
    }
  }

  remove(): void {
    vi.unstubAllEnvs();
    rmSync(this.folder, { recursive: true });
  }
}

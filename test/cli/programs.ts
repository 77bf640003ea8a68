import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const running: Program[] = [];

afterEach(() => {
  for (const { child } of running.splice(0)) child.kill('SIGKILL');
});

/** `mssql-token-pool <args>` as a process of its own, built from this tree (`npm run build`). */
export class Program {
  readonly child: ChildProcess;
  /** What it wrote so far, line by line. */
  readonly lines: string[] = [];
  errors = '';
  readonly #exit: Promise<number | null>;

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    this.child = spawn(process.execPath, [MAIN, ...args], { env: { ...process.env, ...env } });
    this.#exit = once(this.child, 'exit').then(([code]) => code as number | null);
    createInterface({ input: this.child.stdout as NodeJS.ReadableStream }).on('line', (line) => this.lines.push(line));
    this.child.stderr?.on('data', (chunk) => {
      this.errors += String(chunk);
    });
    running.push(this);
  }

  /** The fields of the first line that says `what`. */
  async said(what: string): Promise<Record<string, string>> {
    for (;;) {
      const line = this.lines.find((each) => each.includes(` ${what}`));
      if (line !== undefined) return fieldsOf(line);
      const over = await Promise.race([
        this.#exit,
        new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 20)),
      ]);
      if (over !== undefined) throw new Error(`it ended with ${over}: ${this.errors}`);
    }
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.child.kill(signal);
    return await this.#exit;
  }

  exit(): Promise<number | null> {
    return this.#exit;
  }
}

function fieldsOf(line: string): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [, key = '', quoted, plain = ''] of line.matchAll(/(\w+)=(?:("(?:[^"\\]|\\.)*")|(\S+))/g)) {
    fields[key] = quoted === undefined ? plain : (JSON.parse(quoted) as string);
  }
  return fields;
}

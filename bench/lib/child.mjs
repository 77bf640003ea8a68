import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { check } from './check.mjs';

/**
 * Runs a program of this directory in a fresh process and returns its output, parsed as JSON.
 *
 * @param {string} program file name
 * @param {object} about passed as its argument
 * @param {string[]} [flags] of Node.js
 */
export async function runFresh(program, about, flags = []) {
  const file = fileURLToPath(new URL(`./${program}`, import.meta.url));
  const args = ['--no-warnings', ...flags, file, JSON.stringify(about)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const printed = await text(child.stdout);
  check((await exited) === 0, `${program} failed for ${args.at(-1)?.slice(0, 80)}`);
  return JSON.parse(printed);
}

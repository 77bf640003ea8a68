import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMissing } from '../installed.js';
import { require } from '../require.js';
import { demoOptions, USAGE } from './demo-options.js';

const MSSQL = 'mssql@12';

/**
 * `mssql-token-pool demo` compares this library with mssql, which `npx mssql-token-pool` does not install. If mssql is missing, npm
 * installs it into a temporary folder for the duration of the demo.
 *
 * @returns the exit code
 */
export async function demoOnMssql(args: string[]): Promise<number> {
  if (args.includes('--help')) {
    process.stdout.write(USAGE);
    return 0;
  }
  // Checked before anything is downloaded.
  const options = demoOptions(args);
  if (options === undefined) return 2;
  if (isMssqlInstalled()) return (await import('./demo.js')).demo(options);
  if (process.env.NODE_PATH?.includes(PREFIX)) throw new Error(`The demo cannot load ${MSSQL}: npm install ${MSSQL}`);
  return withTemporaryMssql(args);
}

const PREFIX = 'mssql-token-pool-demo-';

function isMssqlInstalled(): boolean {
  try {
    require('mssql');
    return true;
  } catch (error) {
    if (isMissing(error, 'mssql')) return false;
    throw error;
  }
}

async function withTemporaryMssql(args: string[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), PREFIX));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  // Also runs if the program ends because its output is no longer read.
  process.once('exit', remove);
  try {
    process.stdout.write(
      `The demo compares this library with ${MSSQL}, which is not installed here; downloading it for this run.\n\n`,
    );
    const options = [
      '--prefix',
      folder,
      '--no-save',
      '--no-audit',
      '--no-fund',
      '--ignore-scripts',
      '--loglevel',
      'error',
    ];
    const installed = await run(npm, ['install', ...options, MSSQL], {});
    if (installed !== 0)
      throw new Error(`npm could not install ${MSSQL}. Run npm install ${MSSQL}, then the demo again.`);
    const NODE_PATH = [join(folder, 'node_modules'), process.env.NODE_PATH].filter(Boolean).join(delimiter);
    return await run(process.execPath, [program, 'demo', ...args], { NODE_PATH });
  } finally {
    process.off('exit', remove);
    remove();
  }
}

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
// The build puts this file into dist/shared.
const program = fileURLToPath(new URL('../cli/main.js', import.meta.url));

/** Runs a program in this terminal. @returns its exit code */
async function run(command: string, args: string[], env: Record<string, string>): Promise<number> {
  // A signal from the terminal reaches the child as well; this process stays to remove the folder.
  const ignore = (): void => {};
  process.on('SIGINT', ignore);
  try {
    const child = spawn(command, args, {
      stdio: 'inherit',
      env: { ...process.env, ...env },
      // On Windows npm is a batch file, which needs a shell; all arguments are constants.
      shell: command.endsWith('.cmd'),
    });
    const [code] = (await once(child, 'exit')) as [number | null];
    return code ?? 1;
  } finally {
    process.off('SIGINT', ignore);
  }
}

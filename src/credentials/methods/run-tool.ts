import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { AbortedError, CredentialUnavailableError, TokenTimeoutError, TokenUnavailableError } from '../../errors.js';
import { redact } from '../entra/redact.js';

export interface Tool {
  /** Command as found in PATH. */
  command: string;
  args: readonly string[];
  /** For messages: `Azure CLI`. */
  name: string;
  /** What to do where it is missing. */
  install: string;
  timeoutMs: number;
  abortSignal: AbortSignal | undefined;
}

const LARGEST_OUTPUT = 1024 * 1024;

/**
 * Runs a developer tool and gives what it printed. No shell is involved on POSIX; Windows needs one for `.cmd` files, and
 * every argument was checked against a strict pattern before it came here.
 *
 * @throws CredentialUnavailableError where it is not installed, TokenTimeoutError, TokenUnavailableError with what it
 *   said on stderr, redacted; never what it printed, which may be a token
 */
export function runTool(tool: Tool): Promise<string> {
  const { command, args, name, timeoutMs, abortSignal } = tool;
  const windows = process.platform === 'win32';
  return new Promise((resolve, reject) => {
    const options = {
      killSignal: 'SIGKILL' as const,
      maxBuffer: LARGEST_OUTPUT,
      windowsHide: true,
      shell: windows,
      // A program of the same name in the working directory must not be run (Windows looks there first).
      cwd: windows ? (process.env.SystemRoot ?? tmpdir()) : '/',
      ...(abortSignal === undefined ? {} : { signal: abortSignal }),
    };
    const child = execFile(command, args, options, (error, stdout, stderr) => {
      clearTimeout(timer);
      if (error === null) resolve(stdout);
      else reject(failure(error, stderr, tool));
    });
    const timer = setTimeout(() => {
      reject(new TokenTimeoutError(`${name} did not answer within ${timeoutMs} ms.`));
      child.kill('SIGKILL');
      // What the tool started in its turn may live on; it does not hold us.
      child.stdout?.destroy();
      child.stderr?.destroy();
      child.unref();
    }, timeoutMs);
    child.stdin?.end();
    child.stdin?.on('error', () => {});
  });

  function failure(error: import('node:child_process').ExecFileException, stderr: string, { install }: Tool): Error {
    if (abortSignal?.aborted) return new AbortedError(`${name} was given up.`, { cause: abortSignal.reason });
    if (error.code === 'ENOENT' || /not recognized|not found/i.test(stderr)) {
      return new CredentialUnavailableError(`${name} is not installed, or not in PATH.`, { hint: install });
    }
    const said = redact(stderr.trim().split('\n').slice(-3).join(' ').slice(0, 400)) || 'no reason given';
    return new TokenUnavailableError(`${name} failed: ${said}`);
  }
}

import { type ExecFileException, execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import {
  AbortedError,
  ConfigurationError,
  CredentialUnavailableError,
  TokenTimeoutError,
  TokenUnavailableError,
} from '../../errors.js';
import { redact } from '../entra/redact.js';
import type { Environment } from '../input/environment.js';

export interface Tool {
  /** Command as found in PATH. */
  command: string;
  /** On Windows the command is a batch file (`az.cmd`), which only cmd.exe runs. */
  batchFileOnWindows: boolean;
  args: readonly string[];
  /** For messages: `Azure CLI`. */
  name: string;
  /** What to do if it is missing. */
  install: string;
  timeoutMs: number;
  abortSignal: AbortSignal | undefined;
  environment: Environment;
}

const LARGEST_OUTPUT = 1024 * 1024;
const LONGEST_STDERR = 16_384;

/**
 * Runs a developer tool. No shell is involved, except for a batch file on Windows.
 *
 * @returns the tool's output
 * @throws CredentialUnavailableError if it is not installed; TokenTimeoutError; TokenUnavailableError with its stderr,
 *   redacted; never its stdout, which may contain a token
 */
export function runTool(tool: Tool): Promise<string> {
  const { name, timeoutMs, abortSignal } = tool;
  const { file, args, options } = commandLine(tool, process.platform);
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      args,
      {
        killSignal: 'SIGKILL',
        maxBuffer: LARGEST_OUTPUT,
        windowsHide: true,
        env: { ...process.env, ...tool.environment },
        ...options,
        ...(abortSignal === undefined ? {} : { signal: abortSignal }),
      },
      (error, stdout, stderr) => {
        clearTimeout(timer);
        if (error === null) resolve(stdout);
        else reject(failure(error, stderr, tool));
      },
    );
    const timer = setTimeout(() => {
      reject(new TokenTimeoutError(`${name} did not answer within ${timeoutMs} ms.`));
      child.kill('SIGKILL');
      // A process that the tool started may keep running; the request does not wait for it.
      child.stdout?.destroy();
      child.stderr?.destroy();
      child.unref();
    }, timeoutMs);
    child.stdin?.end();
    child.stdin?.on('error', () => {});
  });
}

interface CommandLine {
  file: string;
  args: string[];
  options: { cwd: string; windowsVerbatimArguments?: boolean };
}

/** Characters that end a quoted argument of cmd.exe or are special to it inside quotes. */
const UNQUOTABLE = /["%!^&|<>\r\n]/;

/**
 * The program to start and its arguments. Node does not quote arguments for a shell, so one with a space would become
 * several; here each is quoted, and one that cannot be is refused.
 *
 * @throws ConfigurationError for an argument that cmd.exe would change
 */
export function commandLine(
  {
    command,
    args,
    batchFileOnWindows,
    name,
    environment,
  }: Pick<Tool, 'command' | 'args' | 'batchFileOnWindows' | 'name' | 'environment'>,
  platform: NodeJS.Platform,
): CommandLine {
  // Not the working directory: Windows would look for the program there first.
  if (platform !== 'win32') return { file: command, args: [...args], options: { cwd: '/' } };
  const system = environment.SystemRoot;
  const options = { cwd: system ?? tmpdir() };
  if (!batchFileOnWindows) return { file: command, args: [...args], options };
  if (args.some((argument) => UNQUOTABLE.test(argument) || argument.endsWith('\\'))) {
    throw new ConfigurationError(`An argument of ${name} contains a character that Windows cannot pass on.`);
  }
  const line = [command, ...args.map((argument) => `"${argument}"`)].join(' ');
  return {
    file: `${system ?? 'C:\\Windows'}\\System32\\cmd.exe`,
    // /d: no AutoRun commands; /s: only the outer quotes are removed.
    args: ['/d', '/s', '/c', `"${line}"`],
    options: { ...options, windowsVerbatimArguments: true },
  };
}

function failure(error: ExecFileException, stderr: string, { name, install, abortSignal }: Tool): Error {
  if (abortSignal?.aborted) return new AbortedError(`${name} was aborted.`, { cause: abortSignal.reason });
  if (error.code === 'ENOENT' || /not recognized|not found/i.test(stderr.slice(0, 8_192))) {
    return new CredentialUnavailableError(`${name} is not installed, or not in PATH.`, { hint: install });
  }
  const end = redact(lastLines(stderr)).trim().split('\n').slice(-3).join(' ').slice(0, 400);
  return new TokenUnavailableError(`${name} failed: ${end || 'no reason given'}`);
}

/** The last lines of a long text, cut at a line break, because part of a secret would not be recognized. */
function lastLines(text: string): string {
  if (text.length <= LONGEST_STDERR) return text;
  const end = text.slice(-LONGEST_STDERR);
  const newline = end.indexOf('\n');
  return newline === -1 ? '' : end.slice(newline + 1);
}

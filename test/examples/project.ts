import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const undo: (() => Promise<unknown>)[] = [];

afterAll(async () => {
  for (const each of undo.splice(0).reverse()) await each();
});

/**
 * A copy of a project of examples/ as `npm install` leaves it: our package as it is packed, and the packages that the project's
 * package.json names, as links to those of this tree. Nothing is downloaded.
 */
export async function projectOf(name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `example-${name}-`));
  undo.push(() => rm(folder, { recursive: true, force: true }));
  await cp(join(ROOT, 'examples', name), folder, { recursive: true });
  const modules = join(folder, 'node_modules');
  await mkdir(join(modules, '.bin'), { recursive: true });
  const { dependencies = {}, devDependencies = {} } = await packageOf(folder);
  const ours = await packageOf(ROOT);
  for (const each of Object.keys({ ...dependencies, ...devDependencies, ...ours.dependencies })) {
    if (each === 'mssql-token-pool') {
      for (const part of ['package.json', 'dist'])
        await cp(join(ROOT, part), join(modules, each, part), { recursive: true });
    } else {
      await mkdir(dirname(join(modules, each)), { recursive: true });
      await symlink(join(ROOT, 'node_modules', each), join(modules, each), 'junction');
    }
    const { bin = {} } = await packageOf(join(modules, each));
    for (const [program, file] of Object.entries(typeof bin === 'string' ? { [each]: bin } : bin)) {
      const script = `#!/bin/sh\nexec node '${join(modules, each, file)}' "$@"\n`;
      await writeFile(join(modules, '.bin', program), script, { mode: 0o755 });
    }
  }
  return folder;
}

interface Package {
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  bin?: string | Record<string, string>;
}

async function packageOf(folder: string): Promise<Package> {
  return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Package;
}

/** Closed after the tests of this file. */
export function closedAfterwards<T extends { close(): Promise<unknown> }>(it: T): T {
  undo.push(() => it.close());
  return it;
}

/** What a shell command prints in a project; processes that it left in the background end with the test. */
export async function runIn(folder: string, command: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const child = spawn('bash', ['-e', '-o', 'pipefail', '-c', command], {
    cwd: folder,
    env: { ...withoutVitest(process.env), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  undo.push(async () => endGroup(child));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${command}\nended with ${code}:\n${output}`);
  return output;
}

function endGroup({ pid }: ChildProcess): void {
  try {
    process.kill(-(pid as number), 'SIGTERM');
  } catch {
    // It has ended and left nothing behind.
  }
}

/** A program of a project, and its standard output line by line; it ends with the tests of this file. */
export function start(
  folder: string,
  args: string[],
  env: NodeJS.ProcessEnv = {},
): { lines: AsyncIterator<string>; child: ChildProcess } {
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: { ...withoutVitest(process.env), ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  undo.push(async () => endGroup(child));
  return { child, lines: createInterface(child.stdout)[Symbol.asyncIterator]() };
}

/** A vitest of its own must not take itself for a worker of ours. */
/** What vitest has set; and what `npx -c` has, which an `npx` inside it would take for its own. */
function withoutVitest(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name]) => !/^(VITEST|NODE_ENV|NODE_OPTIONS|TEST$|npm_config_(call|package)$)/.test(name),
    ),
  );
}

/** A port that is free, below those that the system gives out by itself, so that nothing else takes it in the meantime. */
export async function freePort(): Promise<number> {
  for (;;) {
    const probe = createServer().listen(randomInt(20_000, 32_000), '127.0.0.1');
    const [outcome] = await Promise.race([once(probe, 'listening'), once(probe, 'error').catch((error) => [error])]);
    if (outcome !== undefined) continue;
    const { port } = probe.address() as { port: number };
    probe.close();
    await once(probe, 'close');
    return port;
  }
}

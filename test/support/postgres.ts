import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { unusedPort } from './unused-port.js';

const HOME = '/usr/lib/postgresql';

/** Where PostgreSQL is installed; undefined if it is not, which prints a warning, because tests are then skipped. */
const binaries = ((): string | undefined => {
  const [newest] = existsSync(HOME) ? readdirSync(HOME).sort((a, b) => Number(b) - Number(a)) : [];
  if (newest !== undefined && existsSync(join(HOME, newest, 'bin/initdb'))) return join(HOME, newest, 'bin');
  process.stderr.write(
    'SKIPPED: no PostgreSQL here, so tests with a real one do not run (.ci/install-debian-packages)\n',
  );
  return undefined;
})();

export const hasPostgres = binaries !== undefined;

/** PostgreSQL refuses to run as root; the Debian package creates a user for it. */
const isRoot = process.getuid?.() === 0;

/** A PostgreSQL server with a superuser `admin` that needs no password; every other role needs one. */
export class PostgresServer implements AsyncDisposable {
  readonly #directory: string;
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(directory: string, port: number) {
    this.#directory = directory;
    this.port = port;
    this.#process = spawn(...asPostgres('postgres', ['-D', directory, '-p', String(port), '-k', directory, '-F']), {
      stdio: 'ignore',
    });
  }

  static async start(): Promise<PostgresServer> {
    const directory = mkdtempSync(join(tmpdir(), 'postgres-'));
    if (isRoot) chownSync(directory, ...idsOfPostgres());
    const [file, args] = asPostgres('initdb', ['-D', directory, '-U', 'admin', '--no-sync']);
    execFileSync(file, args, { stdio: 'ignore', cwd: '/' });
    // As in Azure: the server looks at the token after the client has sent it.
    const rules = ['host all admin 127.0.0.1/32 trust', 'host all all 127.0.0.1/32 password', ''];
    writeFileSync(join(directory, 'pg_hba.conf'), rules.join('\n'));
    const server = new PostgresServer(directory, await unusedPort());
    await server.#ready();
    return server;
  }

  /** Runs one statement as `admin`. */
  async admin(sql: string): Promise<void> {
    const client = new pg.Client({ host: '127.0.0.1', port: this.port, user: 'admin', database: 'postgres' });
    // A server that is starting or stopping may cut the connection at any time; connect() and query() report it.
    client.on('error', () => {});
    await client.connect();
    await client.query(sql);
    await client.end();
  }

  async #ready(): Promise<void> {
    for (;;) {
      if (this.#process.exitCode !== null) throw new Error('PostgreSQL does not start.');
      const isReady = await this.admin('SELECT 1').then(
        () => true,
        () => false,
      );
      if (isReady) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null) {
      this.#process.kill('SIGQUIT');
      await once(this.#process, 'exit');
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function asPostgres(program: string, args: string[]): [string, string[]] {
  const file = join(binaries as string, program);
  return isRoot ? ['setpriv', ['--reuid=postgres', '--regid=postgres', '--clear-groups', file, ...args]] : [file, args];
}

function idsOfPostgres(): [number, number] {
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return [id('-u'), id('-g')];
}

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mysql from 'mysql2/promise';
import { makeCertificate } from '../../src/testing/index.js';
import { unusedPort } from './unused-port.js';

const PLUGIN = '/usr/lib/mysql/plugin/auth_pam_v1.so';

/**
 * Whether a MariaDB is installed that takes passwords in clear text, as Azure takes tokens. Prints the reason if not,
 * because tests are then skipped.
 */
export const hasMariaDb = ((): boolean => {
  try {
    execFileSync('mariadbd', ['--version'], { stdio: 'ignore' });
    if (!existsSync(PLUGIN)) throw new Error(`no ${PLUGIN}`);
    execFileSync('unshare', ['--map-root-user', '--mount', 'true'], { stdio: 'ignore' });
    return true;
  } catch (error) {
    const reason = (error as Error).message.split('\n', 1)[0];
    process.stderr.write(
      `SKIPPED: no MariaDB with PAM in a mount namespace here, so tests with a real one do not run (${reason})\n`,
    );
    return false;
  }
})();

/**
 * A MariaDB with TLS whose user `app` logs in with one of the accepted tokens, in clear text (`mysql_clear_password`). PAM
 * checks them; its configuration exists in the server's own mount namespace only.
 */
export class MariaDbServer implements AsyncDisposable {
  readonly #directory: string;
  readonly port: number;
  readonly ca: string;
  readonly #process: ChildProcess;
  #accepted: string[] = [];

  private constructor(directory: string, port: number, ca: string) {
    this.#directory = directory;
    this.port = port;
    this.ca = ca;
    const options = [
      '--no-defaults',
      '--user=root',
      `--datadir=${directory}/data`,
      `--socket=${directory}/socket`,
      `--pid-file=${directory}/pid`,
      '--bind-address=127.0.0.1',
      `--port=${port}`,
      `--ssl-cert=${directory}/cert.pem`,
      `--ssl-key=${directory}/key.pem`,
      '--plugin-load-add=auth_pam_v1',
      '--pam-use-cleartext-plugin=ON',
      '--innodb-log-file-size=4M',
      '--innodb-buffer-pool-size=8M',
      '--skip-log-bin',
    ];
    const command = 'mount --bind "$0" /etc/pam.d && exec mariadbd "$@"';
    const args = ['--map-root-user', '--mount', 'sh', '-c', command, `${directory}/pam`, ...options];
    this.#process = spawn('unshare', args, { stdio: 'ignore' });
  }

  static async start(): Promise<MariaDbServer> {
    const directory = mkdtempSync(join(tmpdir(), 'mariadb-'));
    const { cert, key } = makeCertificate({ commonName: 'localhost' });
    mkdirSync(`${directory}/pam`);
    writeFileSync(`${directory}/cert.pem`, cert);
    writeFileSync(`${directory}/key.pem`, key);
    writeFileSync(`${directory}/tokens`, '');
    const check = `#!/bin/sh\ntoken=$(tr -d '\\0')\nexec grep -qxF "$token" ${directory}/tokens\n`;
    writeFileSync(`${directory}/check`, check, { mode: 0o755 });
    writeFileSync(
      `${directory}/pam/entra`,
      `auth required pam_exec.so expose_authtok quiet ${directory}/check\naccount required pam_permit.so\n`,
    );
    const install = ['--no-defaults', `--datadir=${directory}/data`, '--skip-test-db', '--innodb-log-file-size=4M'];
    const asRoot = ['--user=root', '--auth-root-authentication-method=normal'];
    execFileSync('unshare', ['--map-root-user', 'mariadb-install-db', ...install, ...asRoot], { stdio: 'ignore' });
    const server = new MariaDbServer(directory, await unusedPort(), cert);
    await server.#ready();
    return server;
  }

  /** Accepts this token from now on, and the one before it, which may be on its way; no older one. */
  accept(token: string): void {
    this.#accepted = [...this.#accepted.slice(-1), token];
    writeFileSync(`${this.#directory}/tokens`, `${this.#accepted.join('\n')}\n`);
  }

  async #ready(): Promise<void> {
    for (;;) {
      if (this.#process.exitCode !== null) throw new Error('mariadbd ended at its start');
      try {
        const admin = await mysql.createConnection({ socketPath: `${this.#directory}/socket`, user: 'root' });
        await admin.query("CREATE USER IF NOT EXISTS app IDENTIFIED VIA pam USING 'entra' REQUIRE SSL");
        await admin.end();
        return;
      } catch {
        await sleep(50);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null) {
      this.#process.kill('SIGKILL');
      await once(this.#process, 'exit');
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

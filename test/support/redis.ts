import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { unusedPort } from './unused-port.js';

/** Whether a redis-server is installed. Prints a warning if not, because tests are then skipped. */
export const hasRedis = ((): boolean => {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    process.stderr.write(
      'SKIPPED: no redis-server here, so tests with a real Redis do not run (.ci/install-debian-packages)\n',
    );
    return false;
  }
})();

/** A redis-server that can be stopped and started again. Disposing removes its files. */
export class RedisServer implements AsyncDisposable {
  readonly #directory: string;
  readonly #args: string[];
  readonly port: number;
  #process: ChildProcess | undefined;

  private constructor(directory: string, port: number, args: string[]) {
    this.#directory = directory;
    this.port = port;
    this.#args = args;
  }

  static async start(...args: string[]): Promise<RedisServer> {
    const server = new RedisServer(await mkdtemp(join(tmpdir(), 'redis-')), await unusedPort(), args);
    await server.start();
    return server;
  }

  async start(): Promise<void> {
    const fixed = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#directory, '--save', ''];
    this.#process = spawn('redis-server', [...fixed, '--rdbcompression', 'no', ...this.#args], { stdio: 'ignore' });
    for (;;) {
      const answer = await this.#command('PING').catch(() => undefined);
      if (answer !== undefined) return;
      await sleep(20);
    }
  }

  /** Stops like a machine that fails: clients see their connections break. */
  async stop(): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    if (running === undefined || running.exitCode !== null) return;
    running.kill('SIGKILL');
    await once(running, 'exit');
  }

  /** The whole content, as Redis writes it to disk. */
  async dump(): Promise<Buffer> {
    await this.#command('SAVE');
    return readFile(join(this.#directory, 'dump.rdb'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #command(command: string): Promise<Buffer> {
    const socket = connect(this.port, '127.0.0.1');
    try {
      socket.write(`${command}\r\n`);
      const [answer] = (await once(socket, 'data')) as [Buffer];
      return answer;
    } finally {
      socket.destroy();
    }
  }
}

/** A network in front of a port that can be slow or drop everything; it records the traffic. */
export class Network implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #seen: Buffer[] = [];
  /** Share of the packets that are late, 0 to 1, and by how much, ms. */
  late = { share: 0, ms: 0 };
  /** Drops everything, without refusing connections. */
  silent = false;

  constructor(target: number) {
    this.#server = createServer((client) => {
      const server = connect(target, '127.0.0.1');
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        this.#sockets.add(from);
        void this.#pass(from, to);
        from.once('close', () => {
          this.#sockets.delete(from);
          to.destroy();
        });
      }
    });
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  /** All traffic so far, in both directions. */
  get seen(): Buffer {
    return Buffer.concat(this.#seen);
  }

  async #pass(from: Socket, to: Socket): Promise<void> {
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        this.#seen.push(chunk);
        if (Math.random() < this.late.share) await sleep(this.late.ms);
        while (this.silent && !to.destroyed) await sleep(20);
        to.write(chunk);
      }
    } catch {
      // A broken connection is what is tested here.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

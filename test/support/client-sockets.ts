import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

/** The sockets that this process opens to one port, counted where they are opened: a server learns of a close only later. */
export class ClientSockets implements Disposable {
  readonly #port: number;
  readonly #connected = new Set<Socket>();
  #most = 0;

  constructor(port: number) {
    this.#port = port;
    subscribe('net.client.socket', this.#onSocket);
  }

  /** The most that were connected at the same time. */
  get most(): number {
    return this.#most;
  }

  get open(): number {
    return [...this.#connected].filter((socket) => !socket.destroyed).length;
  }

  [Symbol.dispose](): void {
    unsubscribe('net.client.socket', this.#onSocket);
  }

  readonly #onSocket = (message: unknown): void => {
    const { socket } = message as { socket: Socket };
    socket.once('connect', () => {
      if (socket.remotePort !== this.#port) return;
      this.#connected.add(socket);
      socket.once('close', () => this.#connected.delete(socket));
      this.#most = Math.max(this.#most, this.open);
    });
  };
}

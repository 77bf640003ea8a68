import { connect, createServer } from 'node:net';

/** The network between client and server: passes everything on until it is cut. Then bytes vanish, as in a real cut. */
export class Relay {
  #port;
  #cut = false;
  #pairs = new Set();
  #server = createServer((client) => this.#accept(client));

  constructor(port) {
    this.#port = port;
  }

  async listen() {
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', () => resolve(undefined)));
    return this.#server.address().port;
  }

  cut() {
    this.#cut = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  /** Data under way is lost: both ends have given it up, or are notified now. */
  restore() {
    this.#cut = false;
    for (const pair of this.#pairs) {
      // Node never emits 'close' for a socket that is reset while it is ending.
      for (const socket of pair) socket.writableEnded ? socket.destroy() : socket.resetAndDestroy();
    }
  }

  close() {
    this.restore();
    this.#server.close();
  }

  #accept(client) {
    const server = connect(this.#port, '127.0.0.1');
    const pair = [client, server];
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [server, client]]) {
      from.on('error', () => {});
      from.once('close', () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
      from.pipe(to);
      if (this.#cut) from.pause();
    }
  }
}

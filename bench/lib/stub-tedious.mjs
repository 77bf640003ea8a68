import { EventEmitter } from 'node:events';

const LOGGED_IN = { name: 'LoggedIn' };
const FINAL = { name: 'Final' };
const SCOPE = 'https://database.windows.net/.default';

/**
 * The part of tedious's connection that pools use, without a socket, so that only the pool is measured. It gets a token from
 * its credential as tedious does, and records whether it is borrowed.
 */
export class StubConnection extends EventEmitter {
  STATE = { LOGGED_IN };
  state = { name: 'Initialized' };
  closed = false;
  inTransaction = false;
  socket = { destroyed: false, writable: true, ref() {}, unref() {}, destroy() {} };
  isBorrowed = false;
  config;

  /** @param {{ authentication?: { options?: { credential?: { getToken(scope: string): Promise<{ token: string }> } } } }} [configuration] */
  constructor(configuration) {
    super();
    this.config = configuration;
  }

  /** @param {(error?: Error) => void} callback */
  connect(callback) {
    this.once('connect', callback);
    void this.#logIn();
  }

  async #logIn() {
    this.emit('secure');
    try {
      await this.config?.authentication?.options?.credential?.getToken(SCOPE);
      this.state = LOGGED_IN;
      this.emit('connect');
    } catch (error) {
      this.emit('connect', error);
    }
  }

  close() {
    if (this.closed) return;
    this.closed = true;
    this.state = FINAL;
    process.nextTick(() => this.emit('end'));
  }
}

/** For the config key `tedious`. */
export const stubTedious = /** @type {any} */ ({ Connection: StubConnection, Request: class {} });

/** A token that is valid longer than any run. */
export const longToken = { getToken: async () => ({ token: 'a.long.life', expiresOnTimestamp: Date.now() + 864e5 }) };

/** The factory of every compared pool: create, validate as mssql's 'socket' mode does, destroy. */
export const stubFactory = {
  /** @returns {Promise<StubConnection>} */
  create: () =>
    new Promise((resolve, reject) => {
      const connection = new StubConnection({ authentication: { options: { credential: longToken } } });
      connection.connect((error) => (error ? reject(error) : resolve(connection)));
    }),
  /** @param {StubConnection} connection */
  isGood(connection) {
    const { closed, state, socket } = connection;
    return !closed && state === connection.STATE.LOGGED_IN && !socket.destroyed && socket.writable;
  },
  /** @param {StubConnection} connection */
  destroy: async (connection) => connection.close(),
};

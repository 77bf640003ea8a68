import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTokenPool } from 'mssql-token-pool';

/** Azure SQL redirects clients to these ports (connection policy "Redirect"). */
const REDIRECT_PORTS = { first: 11_000, last: 11_999 };
const DEFAULT_PORT = 1433;
const CLOSE_MS = 5_000;

/**
 * The caller's own credential as an identity provider that can be made to fail, and whose tokens can be declared to expire
 * sooner than they do. The tokens themselves stay in here.
 */
export class Provider {
  requests = 0;
  /** The credential has a cache of its own, and returned a token again. */
  repeats = false;
  #credential;
  #lifetimeMs;
  #fault;
  #tokens = new Set();

  constructor(credential, lifetimeMs = Number.POSITIVE_INFINITY) {
    this.#credential = credential;
    this.#lifetimeMs = lifetimeMs;
  }

  async getToken(scopes, options) {
    this.requests += 1;
    if (this.#fault !== undefined) throw Object.assign(new Error('the identity provider fails'), this.#fault);
    const { token, expiresOnTimestamp } = await this.#credential.getToken(scopes, options);
    this.repeats ||= this.#tokens.has(token);
    this.#tokens.add(token);
    return { token, expiresOnTimestamp: Math.min(expiresOnTimestamp, Date.now() + this.#lifetimeMs) };
  }

  /** Every further request fails with these properties of an error, e.g. `{ statusCode: 503 }`. */
  fail(fault) {
    this.#fault = fault;
  }

  /** Whether a text contains a token. */
  isIn(text) {
    return [...this.#tokens].some((token) => text.includes(token));
  }
}

/** The real server: the pools that are opened to it, and their sockets, which can be cut and counted. */
export class RealSite {
  /** Most sockets to the server at the same time since {@link recount}. */
  most = 0;
  /** A schema that may exist on the server. */
  schema;
  #target;
  #credential;
  #pools = [];
  #sockets = new Set();
  #port;
  #stopWatching;

  /**
   * `target`: server, port and options of a pool's configuration, and database. `lifetimeMs`: the declared lifetime of tokens in checks
   * of expiry.
   */
  constructor(target, credential, lifetimeMs) {
    this.#target = target;
    this.#credential = credential;
    this.lifetimeMs = lifetimeMs;
    this.#port = target.port ?? (Number(/,\s*(\d+)$/.exec(target.server)?.[1]) || DEFAULT_PORT);
    const watch = ({ socket }) => socket.once('connect', () => this.#connected(socket));
    subscribe('net.client.socket', watch);
    this.#stopWatching = () => unsubscribe('net.client.socket', watch);
  }

  provider(lifetimeMs) {
    return new Provider(this.#credential, lifetimeMs);
  }

  /** Opens a pool to the server; `overrides` are of its configuration. */
  pool(authentication, pool, overrides = {}) {
    const opened = createTokenPool({ ...this.#target, ...overrides, authentication, pool });
    this.#pools.push(opened);
    return opened;
  }

  /** Open connections to the server. */
  get open() {
    return [...this.#sockets].filter((socket) => !socket.destroyed && !socket.writableEnded).length;
  }

  recount() {
    this.most = this.open;
  }

  /** Cuts every connection, as a failover does. */
  dropConnections() {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Closes the pools of one check; what does not close in time is cut. */
  async closePools() {
    const closed = Promise.allSettled(this.#pools.splice(0).map((pool) => pool.close()));
    await Promise.race([closed, sleep(CLOSE_MS, undefined, { ref: false })]);
    this.dropConnections();
  }

  stop() {
    this.#stopWatching();
  }

  #connected(socket) {
    const { remotePort = 0 } = socket;
    const isRedirect = remotePort >= REDIRECT_PORTS.first && remotePort <= REDIRECT_PORTS.last;
    if (remotePort !== this.#port && !isRedirect) return;
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    this.most = Math.max(this.most, this.open);
  }
}

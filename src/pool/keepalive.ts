import type { Connection, Request } from 'tedious';
import { type EvictionReason, publish } from '../channels.js';
import type { TediousModule } from '../connections/dial.js';
import { mayReset } from '../connections/expiry-policy.js';
import { tediousOf } from '../connections/load-tedious.js';
import { isReady } from '../connections/session.js';
import type { SessionReset } from '../connections/session-reset.js';
import type { Settings } from '../connections/settings.js';
import type { Demand } from './dials.js';
import type { PooledConnection } from './pooled-connection.js';
import type { ReadyList } from './ready-list.js';

/** A server that does not answer within this time counts as gone. */
const ANSWER_MS = 5_000;
/**
 * Share of the interval by which keepalives are spread, so that connections opened together do not all send them at
 * once.
 */
const SPREAD = 0.2;

/** The part of a pool's connections that is used here. */
interface IdleConnections {
  readonly ready: ReadyList;
  makeReady(pooled: PooledConnection): void;
  close(pooled: PooledConnection, reason: EvictionReason): void;
}

/**
 * Sends a cheap request on connections that have been idle for long, before the server or a firewall closes them: Azure
 * closes idle sessions after about 30 minutes. It keeps no process alive and does not count as use.
 */
export class Keepalive {
  readonly #connections: IdleConnections;
  readonly #pool: Demand;
  readonly #settings: Settings;
  /** Monotonic ms of the latest answer. */
  readonly #answeredAt = new WeakMap<PooledConnection, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(connections: IdleConnections, pool: Demand, settings: Settings) {
    this.#connections = connections;
    this.#pool = pool;
    this.#settings = settings;
    this.#lookLater();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  get #everyMs(): number {
    return this.#settings.pool.keepaliveMillis;
  }

  /** After a quarter of the spread, so that each connection's keepalive is sent close to its own time. */
  #lookLater(): void {
    this.#timer = setTimeout(() => this.#look(), Math.max(1, (this.#everyMs * SPREAD) / 4)).unref();
  }

  #look(): void {
    this.#lookLater();
    const now = performance.now();
    const { ready } = this.#connections;
    for (const pooled of [...ready]) {
      // A listener may have borrowed or closed it when another one was closed.
      if (!ready.has(pooled)) continue;
      const since = Math.max(pooled.lastUsedAt, this.#answeredAt.get(pooled) ?? 0);
      if (now - since >= this.#everyMs * (1 - SPREAD * pooled.live.expiry.share) && isAskable(pooled))
        void this.#ask(pooled);
    }
  }

  async #ask(pooled: PooledConnection): Promise<void> {
    const connections = this.#connections;
    const { connection, expiry, id, reset } = pooled.live;
    // The keepalive would mistake unsolicited data that the connection has received for its answer.
    if (!isReady(connection)) {
      connections.close(pooled, expiry.unusable ?? 'broken');
      this.#pool.changed();
      return;
    }
    connections.ready.remove(pooled);
    pooled.reserved = true;
    const askedAt = performance.now();
    const tedious = await tediousOf(this.#settings);
    const answered = await pooled.live.ask(() => ping(tedious, connection, reset));
    // A request that ended because the pool was closed has not been answered.
    if (pooled.state !== 'closed') {
      publish('connection:keepalive', () => ({
        pool: this.#pool.name,
        connection: id,
        answered,
        durationMs: performance.now() - askedAt,
      }));
    }
    pooled.reserved = false;
    // Perhaps by a listener of this event.
    if (pooled.state === 'closed') return;
    this.#answeredAt.set(pooled, performance.now());
    if (!answered || !isReady(connection) || expiry.unusable !== undefined) {
      connections.close(pooled, expiry.unusable ?? 'broken');
    } else if (reset?.isConfirmed(connection) === false) connections.close(pooled, 'reset-failed');
    else if (pooled.successor?.standsBy === true) connections.makeReady(pooled);
    // Into its old position: the connection used last is still handed out first.
    else connections.ready.insert(pooled);
    this.#pool.changed();
  }
}

/** A request would carry a reset that is due, which the server refuses if the token has expired. */
function isAskable({ live: { expiry, reset } }: PooledConnection): boolean {
  return reset?.isDue !== true || mayReset(expiry, expiry.now());
}

/** Whether the server answers in time. Never rejects. */
function ping({ Request }: TediousModule, connection: Connection, reset: SessionReset | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), ANSWER_MS).unref();
    const request: Request = new Request('SELECT 1', (error) => {
      clearTimeout(timer);
      resolve(!error);
    });
    // tedious's own timer would keep the process alive.
    request.setTimeout?.(0);
    if (reset === undefined) connection.execSqlBatch(request);
    else reset.probe(() => connection.execSqlBatch(request));
  });
}

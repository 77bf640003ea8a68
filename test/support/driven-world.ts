import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Connection } from 'tedious';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import { CHANNEL_NAMES, CHANNEL_PREFIX, type ChannelName, type ChannelPayloads } from '../../src/channels.js';
import { renewalShares } from '../../src/connections/renewal-share.js';
import { settingsFrom } from '../../src/connections/settings.js';
import type { TokenPoolConfig } from '../../src/index.js';
import type { ConnectionLimit } from '../../src/pool/connection-limit.js';
import { createTokenPool } from '../../src/pool/create-token-pool.js';
import { TokenPool } from '../../src/pool/token-pool.js';
import { FakeProvider } from '../tokens/fake-provider.js';
import { type ClockPerTest, clockPerTest } from './clock-per-test.js';
import { type DrivenConnection, DrivenServer } from './driven-server.js';

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

/** The error of a server for an unknown login. */
export const LOGIN_FAILED = { number: 18456, state: 1, class: 14, message: 'Login failed.' };

export const sqlLogin = { authentication: undefined, user: 'sa', password: 'p' };

/** A server, an identity provider and pools in a time of their own. */
export interface DrivenWorld {
  readonly server: DrivenServer;
  readonly provider: FakeProvider;
  readonly clock: ClockPerTest;
  /** What happened since the start of the test. */
  readonly events: { name: ChannelName; payload: ChannelPayloads[ChannelName] }[];
  aPool(
    pool?: TokenPoolConfig['pool'],
    config?: Partial<TokenPoolConfig>,
    beyond?: { limit?: ConnectionLimit | undefined },
  ): TokenPool;
  /** So many callers at once, and the time of a login. */
  borrow(pool: TokenPool, count: number): Promise<Connection[]>;
  /** So many connections are open and idle. */
  opened(pool: TokenPool, count: number): Promise<void>;
  /** One borrowed connection whose replacement is being opened: a login of 20 s. The pool keeps idle connections for an hour. */
  borrowedWhileRenewed(pool: TokenPool): Promise<Connection>;
}

/** A new one for each test of a file; when a test is over, its pools are closed, and nothing may be left of them. */
export function drivenWorld(): DrivenWorld {
  clock = clockPerTest();
  const world = { clock } as { -readonly [K in keyof DrivenWorld]: DrivenWorld[K] };
  let pools: TokenPool[];
  const listener = (payload: unknown, channel: string | symbol): void => {
    const name = String(channel).slice(CHANNEL_PREFIX.length) as ChannelName;
    world.events.push({ name, payload: payload as ChannelPayloads[ChannelName] });
  };

  world.aPool = (pool = {}, config = {}, beyond = {}) => {
    const { provider, server } = world;
    const whole = {
      server: 'host',
      // Some logins of these tests take 20 s.
      connectionTimeout: MINUTE,
      authentication: provider,
      tedious: server.tedious,
      pool,
      ...config,
    };
    const made = config.readOnly === undefined ? new TokenPool(settingsFrom(whole), beyond) : createTokenPool(whole);
    pools.push(made);
    return made;
  };

  world.borrow = async (pool, count) => {
    const acquired = outcome(Promise.all(Array.from({ length: count }, () => pool.acquire())));
    await pass(world.server.loginMs);
    return settled(acquired);
  };

  world.opened = async (pool, count) => releaseAll(pool, await world.borrow(pool, count));

  world.borrowedWhileRenewed = async (pool) => {
    // Half-way between refresh (47.5 min) and the eviction margin (55 min).
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    await world.opened(pool, 1);
    world.server.loginMs = 20 * SECOND;
    world.server.dials = [];
    await pass(51 * MINUTE);
    while (world.server.dials.length === 0) {
      releaseAll(pool, [await borrowAtOnce(pool)]);
      await pass(SECOND);
    }
    return borrowAtOnce(pool);
  };

  beforeEach(() => {
    world.server = new DrivenServer();
    world.provider = new FakeProvider();
    world.events = [];
    pools = [];
    for (const name of CHANNEL_NAMES) subscribe(CHANNEL_PREFIX + name, listener);
  });

  afterEach(async () => {
    for (const name of CHANNEL_NAMES) unsubscribe(CHANNEL_PREFIX + name, listener);
    world.server.recover();
    const closed = outcome(Promise.all(pools.map((pool) => pool.close({ timeoutMs: 0 }))));
    await pass(10 * SECOND);
    settled(closed);
    expect(world.server.connections.size).toBe(0);
    vi.restoreAllMocks();
  });

  return world;
}

/** The clock of the file's one world. */
let clock: ClockPerTest;

export const pass = (ms: number): Promise<void> => clock.pass(ms);

/** An idle, working connection. */
export async function borrowAtOnce(pool: TokenPool): Promise<Connection> {
  const acquired = outcome(pool.acquire());
  await pass(0);
  return settled(acquired);
}

export function releaseAll(pool: TokenPool, connections: Connection[]): void {
  for (const connection of connections) pool.release(connection);
}

/** Time passes, and all connections are used now and then, without waiting for any. */
export async function live(pool: TokenPool, ms: number, count: number, everyMs = 20 * SECOND): Promise<void> {
  for (let passed = 0; passed < ms; passed += everyMs) {
    await pass(everyMs);
    const acquired = outcome(Promise.all(Array.from({ length: count }, () => pool.acquire())));
    await pass(0);
    releaseAll(pool, settled(acquired));
  }
}

interface Outcome<T> {
  value?: T;
  error?: unknown;
  /** Monotonic ms. */
  at?: number;
}

/** The state of a promise, without waiting for it. */
export function outcome<T>(promise: Promise<T>): Outcome<T> {
  const seen: Outcome<T> = {};
  promise.then(
    (value) => Object.assign(seen, { value, at: performance.now() }),
    (error) => Object.assign(seen, { error: error ?? new Error(`Failed with ${error}`), at: performance.now() }),
  );
  return seen;
}

/** Its value: it has one by now. */
export function settled<T>({ value, error, at }: Outcome<T>): T {
  if (error !== undefined) throw error;
  if (at === undefined) throw new Error('Still waiting');
  return value as T;
}

/** The server's view of a connection. */
export const driven = (connection: Connection | undefined): DrivenConnection =>
  connection as unknown as DrivenConnection;

/** Sessions that are opened together are due together, half-way through their renewal period. */
export function withoutSpread(): void {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  vi.spyOn(renewalShares, 'next').mockReturnValue(0.5);
}

/** A `pool.validate` that accepts, except for the second call, which waits for `answer`. */
export function undecidedTest(): { validate: () => boolean | Promise<boolean>; answer: (fit: boolean) => void } {
  let asked = 0;
  const test = {
    answer: (_fit: boolean): void => {},
    validate(): boolean | Promise<boolean> {
      asked += 1;
      if (asked !== 2) return true;
      return new Promise((resolve) => {
        test.answer = resolve;
      });
    },
  };
  return test;
}

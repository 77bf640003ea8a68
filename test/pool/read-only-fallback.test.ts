import { getEventListeners } from 'node:events';
import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { createTokenPool, type TokenPool } from '../../src/index.js';
import { driven, drivenWorld, MINUTE, outcome, pass, SECOND, settled } from '../support/driven-world.js';

const world = drivenWorld();

/** Two connections for both pools together. */
function poolWithFallback(max = 2): TokenPool {
  return world.aPool({ max, overlap: 0 }, { readOnly: { fallback: true } });
}

function isReplicas(connection: Connection): boolean {
  return driven(connection).config.options?.readOnlyIntent === true;
}

const UNAVAILABLE = { number: 40613, state: 1, class: 14, message: 'Database is not currently available.' };

const fallbacks = () => world.events.filter(({ name }) => name === 'pool:fallback');

test('a caller that waits only because all connections are borrowed stays in the queue, and the replica is not blamed', async () => {
  const pool = poolWithFallback();
  const borrowed = await world.borrow(pool, 2);
  const waiting = outcome(pool.readOnly.acquire());
  await pass(20 * SECOND);
  expect(waiting.at).toBeUndefined();
  for (const connection of borrowed) pool.release(connection);
  await pass(SECOND);
  expect(isReplicas(settled(waiting))).toBe(true);
  expect(fallbacks()).toEqual([]);
  pool.readOnly.release(settled(waiting));
});

test('a suspended pool does not count as a failure of the replica', async () => {
  const pool = poolWithFallback();
  pool.suspend();
  const waiting = outcome(pool.readOnly.acquire());
  await pass(20 * SECOND);
  pool.resume();
  await pass(SECOND);
  expect(isReplicas(settled(waiting))).toBe(true);
  expect(fallbacks()).toEqual([]);
  pool.readOnly.release(settled(waiting));
});

test('a replica whose login hangs: the primary serves after half of the time, and from then on at once', async () => {
  const pool = poolWithFallback();
  await world.opened(pool, 1);
  world.server.loginMs = 60 * SECOND;
  const first = outcome(pool.readOnly.acquire());
  await pass(14 * SECOND);
  expect(first.at).toBeUndefined();
  await pass(2 * SECOND);
  expect(isReplicas(settled(first))).toBe(false);
  pool.readOnly.release(settled(first));
  const second = outcome(pool.readOnly.acquire());
  await pass(0);
  expect(isReplicas(settled(second))).toBe(false);
  expect(fallbacks()).toHaveLength(1);
  pool.readOnly.release(settled(second));
  world.server.loginMs = 10;
});

/** As of the package `abort-controller`. */
function polyfilled(): Pick<AbortController, 'signal' | 'abort'> {
  const target = new EventTarget();
  const signal = {
    aborted: false,
    addEventListener: target.addEventListener.bind(target),
    removeEventListener: target.removeEventListener.bind(target),
  };
  const abort = (): void => {
    signal.aborted = true;
    target.dispatchEvent(new Event('abort'));
  };
  return { signal: signal as unknown as AbortSignal, abort };
}

test.each([
  ['AbortController', () => new AbortController()],
  ['a polyfill', polyfilled],
])('the signal of a caller (%s) ends the wait for the replica, and the primary is not tried', async (_, controller) => {
  const pool = poolWithFallback();
  world.server.loginMs = 60 * SECOND;
  const left = controller();
  const waiting = outcome(pool.readOnly.acquire({ signal: left.signal }));
  await pass(SECOND);
  left.abort();
  await pass(0);
  expect(() => settled(waiting)).toThrow(expect.objectContaining({ code: 'ERR_ABORTED' }));
  await pass(20 * SECOND);
  expect(world.server.dials).toHaveLength(1);
  expect(fallbacks()).toEqual([]);
});

test('nothing of a caller stays in its signal once it has been served', async () => {
  const pool = poolWithFallback();
  const { signal } = new AbortController();
  const connection = outcome(pool.readOnly.acquire({ signal }));
  await pass(SECOND);
  pool.readOnly.release(settled(connection));
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('a closed pool reports that, including to a caller of the replica', async () => {
  const pool = poolWithFallback();
  await pool.close();
  await expect(pool.readOnly.acquire()).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' });
  expect(fallbacks()).toEqual([]);
});

test('its health is that of the replica', async () => {
  const pool = poolWithFallback();
  await world.opened(pool, 1);
  world.server.isDown = true;
  const failed = outcome(pool.readOnly.ready());
  await pass(SECOND);
  expect(() => settled(failed)).toThrow();
  expect(pool.readOnly.health()).toMatchObject({ status: 'down', reasons: [{ code: 'cannot-connect' }] });
  expect(pool.health().status).toBe('ok');
});

test.each<[readOnly: object | true, seen: { server: string; database: string | undefined; port: number | undefined }]>([
  [true, { server: 'host', database: 'app', port: 1434 }],
  [{ fallback: true }, { server: 'host', database: 'app', port: 1434 }],
  [{ server: 'replica' }, { server: 'replica', database: 'app', port: 1433 }],
  [
    { server: 'replica', database: 'copy' },
    { server: 'replica', database: 'copy', port: 1433 },
  ],
  [{ database: 'copy' }, { server: 'host', database: 'copy', port: 1434 }],
])('readOnly: %j is the server of the read-only connections, which ask for a replica', async (readOnly, seen) => {
  const configurations: { server: string; options: Record<string, unknown> }[] = [];
  const { Connection } = world.server.tedious;
  const tedious = {
    ...world.server.tedious,
    Connection: class extends Connection {
      constructor(configuration: ConstructorParameters<typeof Connection>[0]) {
        super(configuration);
        configurations.push(configuration as never);
      }
    },
  };
  const pool = world.aPool({ max: 1, min: 1 }, {
    tedious,
    port: 1434,
    database: 'app',
    options: { appName: 'api' },
    readOnly,
  } as never);
  pool.release((await world.borrow(pool, 1))[0] as Connection);
  const replica = outcome(pool.readOnly.acquire());
  await pass(SECOND);
  pool.readOnly.release(settled(replica));
  const [ofPrimary, ofReplica] = configurations;
  const read = ({ server, options }: NonNullable<typeof ofPrimary>) => ({
    server,
    database: options.database,
    port: options.port,
    appName: options.appName,
    readOnlyIntent: options.readOnlyIntent,
  });
  expect(ofPrimary && read(ofPrimary)).toEqual({
    server: 'host',
    database: 'app',
    port: 1434,
    appName: 'api',
    readOnlyIntent: undefined,
  });
  expect(ofReplica && read(ofReplica)).toEqual({ ...seen, appName: 'api', readOnlyIntent: true });
  // One token for both.
  expect(world.provider.requests).toHaveLength(1);
});

test('the port of the primary, in its options too, is not that of the replica', async () => {
  const pool = world.aPool({ max: 1 }, { options: { port: 1434 }, readOnly: { server: 'replica' } });
  const replica = outcome(pool.readOnly.acquire());
  await pass(SECOND);
  expect(driven(settled(replica)).config.options).toMatchObject({ port: 1433, readOnlyIntent: true });
  pool.readOnly.release(settled(replica));
});

test('the replica has the settings of layered configs too', async () => {
  const defaults = { server: 'host', user: 'sa', authentication: undefined, tedious: world.server.tedious };
  const hidden = { value: 'p', enumerable: false };
  const config = Object.defineProperty(Object.create(defaults), 'password', hidden);
  config.options = Object.create({ appName: 'api', encrypt: true });
  config.readOnly = { database: 'copy' };
  const pool = createTokenPool(config);
  const replica = outcome(pool.readOnly.acquire());
  await pass(SECOND);
  expect(driven(settled(replica)).config.options).toMatchObject({
    appName: 'api',
    encrypt: true,
    database: 'copy',
    readOnlyIntent: true,
  });
  pool.readOnly.release(settled(replica));
  const closed = outcome(pool.close());
  await pass(SECOND);
  settled(closed);
});

test.each([true, {}, { server: 'replica' }, { fallback: false }])(
  'with readOnly: %j callers of the replica never get the primary',
  async (readOnly) => {
    const pool = world.aPool({ max: 1 }, { readOnly });
    world.server.isDown = true;
    const reading = outcome(pool.readOnly.acquire());
    await pass(MINUTE);
    expect(() => settled(reading)).toThrow(expect.objectContaining({ code: 'ERR_SERVER_UNAVAILABLE' }));
    expect(fallbacks()).toEqual([]);
  },
);

test('a replica that hangs is reported as the cause of the fallback, and is not ok in the meantime', async () => {
  const pool = poolWithFallback();
  world.server.loginMs = 20 * SECOND;
  const reading = outcome(pool.readOnly.acquire());
  await pass(15 * SECOND + 1);
  expect(fallbacks()[0]?.payload).toMatchObject({
    error: {
      code: 'ERR_SERVER_UNAVAILABLE',
      message: expect.stringContaining('The replica opened no connection within 15000 ms.'),
      hint: 'That is half of pool.acquireTimeoutMillis. Check whether the replica answers.',
    },
  });
  expect(pool.readOnly.health().status).not.toBe('ok');
  await pass(MINUTE);
  expect(reading.at).toBeDefined();
});

test('a pool without readOnly has no read-only connections', () => {
  for (const readOnly of [undefined, false, null] as never[]) {
    expect(() => world.aPool({}, { readOnly }).readOnly).toThrow("set 'readOnly: true' in its config");
  }
});

test('while the replica asks callers to try later, the primary serves them, also after each detour', async () => {
  const pool = poolWithFallback();
  await world.opened(pool, 1);
  world.server.refusals = Array.from({ length: 100 }, () => UNAVAILABLE);
  for (let at = 0; at < 300; at += 20) {
    const borrowed = outcome(pool.readOnly.acquire());
    await pass(20 * SECOND);
    expect(isReplicas(settled(borrowed))).toBe(false);
    pool.readOnly.release(settled(borrowed));
  }
  world.server.refusals = [];
});

test("the timeout of a caller of the primary says that the replica's connections share its limit", async () => {
  const pool = world.aPool({ max: 2, overlap: 0 }, { readOnly: true });
  const borrowed = [outcome(pool.readOnly.acquire()), outcome(pool.readOnly.acquire())];
  await pass(SECOND);
  const waiting = outcome(pool.acquire());
  await pass(31 * SECOND);
  expect(() => settled(waiting)).toThrow(
    expect.objectContaining({ code: 'ERR_ACQUIRE_TIMEOUT', hint: expect.stringContaining('share pool.max') }),
  );
  for (const each of borrowed) pool.readOnly.release(settled(each));
});

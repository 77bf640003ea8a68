import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import type { ChannelPayloads } from '../../src/channels.js';
import {
  ConfigurationError,
  CredentialRejectedError,
  EncryptionRequiredError,
  LoginRefusedError,
  PoolClosedError,
  ServerUnavailableError,
  StaleTokenError,
  TokenTimeoutError,
} from '../../src/errors.js';
import type { DrivenConnection } from '../support/driven-server.js';
import {
  drivenWorld,
  HOUR,
  LOGIN_FAILED,
  MINUTE,
  outcome,
  pass,
  releaseAll,
  SECOND,
  settled,
  sqlLogin,
} from '../support/driven-world.js';

const world = drivenWorld();
const { aPool, borrow, opened } = world;

const STALE = { number: 18456, state: 233, class: 14, message: 'Token is expired.' };
const NO_USER = { ...LOGIN_FAILED, message: "Login failed for user '<token-identified principal>'." };
const BUSY = { number: 40613, state: 1, class: 20, message: 'Database is not currently available.' };

const dials = (): number => world.server.dials.length;
const requests = (): number => world.provider.requests.length;

test('a stale token: once more with a fresh one, at once', async () => {
  const pool = aPool({ max: 1 });
  world.server.refusals = [STALE];
  const acquired = outcome(pool.acquire());
  await pass(2 * world.server.loginMs);
  pool.release(settled(acquired));
  expect([dials(), requests()]).toEqual([2, 2]);
  expect(pool.stats).toMatchObject({ size: 1, logins: 1, failedLogins: 0 });
});

test('rejects after two attempts when the fresh token is stale as well', async () => {
  const pool = aPool({ max: 1 });
  world.server.refusals = [STALE, STALE];
  const acquired = outcome(pool.acquire());
  await pass(2 * world.server.loginMs);
  expect(acquired.error).toBeInstanceOf(StaleTokenError);
  expect([dials(), requests()]).toEqual([2, 2]);
});

test("rejects with the server's error when a stale token cannot be replaced", async () => {
  const pool = aPool({ max: 1 });
  const warm = aPool({ max: 1 });
  await opened(warm, 1);
  world.provider.sticky = new Error('HTTP 503');
  world.server.refusals = [STALE];
  const acquired = outcome(pool.acquire());
  await pass(10 * SECOND);
  expect(acquired.error).toBeInstanceOf(StaleTokenError);
  expect([dials(), requests()]).toEqual([2, 2]);
});

test('a fresh token is not waited for longer than createTimeoutMillis', async () => {
  const pool = aPool({ max: 1, createTimeoutMillis: 3 * SECOND });
  const warm = aPool({ max: 1 });
  await opened(warm, 1);
  world.provider.sticky = 'hang';
  world.server.refusals = [STALE];
  const startedAt = performance.now();
  const acquired = outcome(pool.acquire());
  await pass(5 * SECOND);
  expect(acquired.error).toBeInstanceOf(StaleTokenError);
  expect((acquired.at ?? 0) - startedAt).toBe(3 * SECOND);
});

test('an ambiguous refusal of a token that is not fresh: once more with a fresh one', async () => {
  const pool = aPool({ max: 2 });
  const borrowed = await borrow(pool, 1);
  await pass(10 * MINUTE);
  world.server.refusals = [NO_USER];
  const acquired = outcome(pool.acquire());
  await pass(2 * world.server.loginMs);
  releaseAll(pool, [settled(acquired), ...borrowed]);
  expect([dials(), requests()]).toEqual([3, 2]);
  // Connections on the refused token are closed.
  expect(pool.stats).toMatchObject({ size: 1, evictions: { 'token-invalidated': 1 } });
});

test('rejects at once on an ambiguous refusal of a fresh token, without requesting another', async () => {
  const pool = aPool({ max: 1 });
  world.server.refusals = [NO_USER];
  const acquired = outcome(pool.acquire());
  await pass(world.server.loginMs);
  expect(acquired.error).toBeInstanceOf(LoginRefusedError);
  expect([dials(), requests()]).toEqual([1, 1]);
  await pass(10 * MINUTE);
  world.server.refusals = [NO_USER];
  const later = outcome(pool.acquire());
  await pass(world.server.loginMs);
  expect(later.error).toBeInstanceOf(LoginRefusedError);
  expect([dials(), requests()]).toEqual([2, 1]);
});

test('rejects at once on a refusal for another reason', async () => {
  const pool = aPool({ max: 2 });
  const borrowed = await borrow(pool, 1);
  await pass(10 * MINUTE);
  world.server.refusals = [{ ...LOGIN_FAILED, number: 4060, message: 'Cannot open database' }];
  const acquired = outcome(pool.acquire());
  await pass(world.server.loginMs);
  expect(acquired.error).toMatchObject({ name: 'LoginRefusedError', number: 4060, state: 1, class: 14 });
  expect([dials(), requests()]).toEqual([2, 1]);
  releaseAll(pool, borrowed);
});

test('a server that asks to try again later is contacted again after 5 s and another 10 s, within createTimeoutMillis', async () => {
  const pool = aPool({ max: 1, createTimeoutMillis: 30 * SECOND, acquireTimeoutMillis: MINUTE }, sqlLogin);
  world.server.loginMs = 0;
  world.server.refusals = [BUSY, BUSY];
  const acquired = outcome(pool.acquire());
  await pass(14 * SECOND);
  expect(acquired.at).toBeUndefined();
  await pass(2 * SECOND);
  pool.release(settled(acquired));
  const [first = 0] = world.server.dials;
  expect(world.server.dials.map((at) => Math.round((at - first) / 100))).toEqual([0, 50, 150]);
});

test('rejects at once when the retry would exceed createTimeoutMillis', async () => {
  const pool = aPool({ max: 1, createTimeoutMillis: 12 * SECOND, acquireTimeoutMillis: MINUTE }, sqlLogin);
  world.server.loginMs = 0;
  world.server.refusals = [BUSY, BUSY, BUSY];
  const startedAt = performance.now();
  const acquired = outcome(pool.acquire());
  await pass(20 * SECOND);
  expect(acquired.error).toMatchObject({ number: 40613 });
  expect(Math.round(((acquired.at ?? 0) - startedAt) / 100)).toBe(50);
  expect(dials()).toBe(2);
});

test('a SQL login that is refused is not tried again', async () => {
  const pool = aPool({ max: 1 }, sqlLogin);
  world.server.refusals = [STALE];
  const acquired = outcome(pool.acquire());
  await pass(SECOND);
  expect(acquired.error).toBeDefined();
  expect(dials()).toBe(1);
});

test('no socket is opened before there is a token, and the wait for it ends with createTimeoutMillis', async () => {
  const pool = aPool({ max: 1, createTimeoutMillis: 3 * SECOND });
  world.provider.delayMs = 2 * SECOND;
  const acquired = outcome(pool.acquire());
  await pass(2 * SECOND - 1);
  expect(dials()).toBe(0);
  await pass(1 + world.server.loginMs);
  pool.release(settled(acquired));
  const slow = aPool(
    { max: 1, createTimeoutMillis: 3 * SECOND },
    { authentication: { getToken: () => new Promise(() => {}) } },
  );
  const waiting = outcome(slow.acquire());
  const startedAt = performance.now();
  await pass(5 * SECOND);
  expect(waiting.error).toBeInstanceOf(TokenTimeoutError);
  expect((waiting.at ?? 0) - startedAt).toBe(3 * SECOND);
  expect(dials()).toBe(1);
});

test("rejects with the credential's error, without dialling", async () => {
  const pool = aPool({ max: 1 });
  const failure = new CredentialRejectedError('AADSTS7000215: wrong secret', { aadsts: 7000215 });
  world.provider.sticky = failure;
  const acquired = outcome(pool.acquire());
  await pass(SECOND);
  expect(acquired.error).toBeInstanceOf(CredentialRejectedError);
  expect(dials()).toBe(0);
});

test('asks the server for the resource, once, when its name does not determine the cloud', async () => {
  const scope = 'https://database.another.cloud/.default';
  const pool = aPool({ max: 2 });
  world.provider.next = [new CredentialRejectedError('AADSTS500011: no such resource', { aadsts: 500011 })];
  world.server.scope = scope;
  const borrowed = await borrow(pool, 2);
  expect(dials()).toBe(2);
  releaseAll(pool, borrowed);
  world.server.cut();
  await pass(10 * SECOND);
  await opened(pool, 1);
  expect(world.provider.requests.map((request) => request.scope)).toEqual([
    'https://database.windows.net/.default',
    scope,
  ]);
});

test('if the scope is in the config, the server is not asked', async () => {
  const pool = aPool({ max: 2 }, { scope: 'https://sql.my.cloud/.default' });
  world.provider.next = [new CredentialRejectedError('AADSTS500011: no such resource', { aadsts: 500011 })];
  const acquired = outcome(pool.acquire());
  await pass(SECOND);
  expect(acquired.error).toBeInstanceOf(CredentialRejectedError);
  expect(dials()).toBe(0);
});

test('rejects with the error of a credential that fails in the middle of a login', async () => {
  const pool = aPool({ max: 1 });
  world.provider.lifeMs = SECOND * 10;
  world.server.loginMs = 11 * SECOND;
  const failure = new CredentialRejectedError('AADSTS7000215: wrong secret', { aadsts: 7000215 });
  const acquired = outcome(pool.acquire());
  await pass(0);
  world.provider.sticky = failure;
  await pass(12 * SECOND);
  expect(acquired.error).toBeInstanceOf(CredentialRejectedError);
  expect(world.server.connections.size).toBe(0);
});

test('beforeConnect is called with each connection before anything is sent', async () => {
  const seen: { connection: Connection; state: string }[] = [];
  const beforeConnect = (connection: Connection): void => {
    seen.push({ connection, state: (connection as unknown as DrivenConnection).state.name });
  };
  const pool = aPool({ max: 2 }, { beforeConnect });
  const borrowed = await borrow(pool, 2);
  expect(new Set(seen.map(({ connection }) => connection))).toEqual(new Set(borrowed));
  expect(seen.map(({ state }) => state)).toEqual(['Connecting', 'Connecting']);
  releaseAll(pool, borrowed);
});

test('a beforeConnect that throws is a configuration error, and leaves nothing open', async () => {
  const failure = new Error('mine');
  const pool = aPool(
    { max: 1 },
    {
      beforeConnect: () => {
        throw failure;
      },
    },
  );
  const acquired = outcome(pool.acquire());
  await pass(SECOND);
  expect(acquired.error).toBeInstanceOf(ConfigurationError);
  expect(acquired.error).toMatchObject({ message: 'beforeConnect threw: mine', cause: failure });
  expect(world.server.connections.size).toBe(0);
  expect(pool.stats).toMatchObject({ size: 0, opening: 0, failedLogins: 1 });
});

test('an option that tedious refuses is a configuration error', async () => {
  const failure = new TypeError('The "config.options.port" property must be of type number.');
  class Picky {
    constructor() {
      throw failure;
    }
  }
  const pool = aPool({ max: 1 }, { tedious: { ...world.server.tedious, Connection: Picky } as never });
  const acquired = outcome(pool.acquire());
  await pass(SECOND);
  expect(acquired.error).toBeInstanceOf(ConfigurationError);
  expect(acquired.error).toMatchObject({ message: `tedious refuses the config: ${failure.message}`, cause: failure });
});

test('close() in the middle of a login closes the connection at once', async () => {
  const pool = aPool({ max: 1 });
  world.server.loginMs = HOUR;
  const acquired = outcome(pool.acquire());
  await pass(SECOND);
  const [connection] = [...world.server.connections] as [DrivenConnection];
  const errors: unknown[] = [];
  connection.socket.destroy = ((error: unknown) => errors.push(error)) as never;
  const closed = outcome(pool.close());
  await pass(1);
  expect(acquired.error).toBeInstanceOf(PoolClosedError);
  settled(closed);
  expect(connection.closed).toBe(true);
  // Without an error on its socket, tedious would wait out connectTimeout.
  expect(errors).toEqual([new Error('The connection attempt was abandoned.')]);
});

test('an error of an established connection does not end the process, and the connection is not used again', async () => {
  const pool = aPool({ max: 1 });
  const [connection] = (await borrow(pool, 1)) as [Connection];
  pool.release(connection);
  expect(connection.emit('error', new Error('ECONNRESET'))).toBe(true);
  const [next] = (await borrow(pool, 1)) as [Connection];
  expect(next).not.toBe(connection);
  pool.release(next);
});

test('a connection keeps as few listeners as it needs', async () => {
  const pool = aPool({ max: 1 }, sqlLogin);
  await opened(pool, 1);
  const [connection] = [...world.server.connections] as [DrivenConnection];
  expect(connection.eventNames()).toEqual(['error', 'end']);
  expect(connection.listenerCount('error')).toBe(1);
  expect(connection.listenerCount('end')).toBe(1);
});

test('failed logins publish their kind', async () => {
  const kinds = (): string[] =>
    world.events
      .filter(({ name }) => name === 'connection:login-failed')
      .map(({ payload }) => (payload as ChannelPayloads['connection:login-failed']).kind);
  const pool = aPool({ max: 1, createTimeoutMillis: SECOND });
  for (const refusal of [STALE, LOGIN_FAILED, NO_USER, BUSY, undefined]) {
    world.server.refusals = refusal === undefined ? [] : [refusal, refusal];
    world.server.isDown = refusal === undefined;
    const acquired = outcome(pool.acquire());
    await pass(MINUTE);
    expect(acquired.error).toBeDefined();
  }
  expect(kinds().filter((kind, i, all) => kind !== all[i - 1])).toEqual([
    'stale',
    'refused',
    'ambiguous',
    'transient',
    'unreachable',
  ]);
});

test('one caller probes a server that is down; the others wait for the result', async () => {
  const pool = aPool({ max: 5 }, sqlLogin);
  world.server.isDown = true;
  const first = outcome(pool.acquire());
  await pass(world.server.loginMs);
  expect(first.error).toBeInstanceOf(ServerUnavailableError);
  world.server.dials = [];
  const callers = Array.from({ length: 5 }, () => outcome(pool.acquire()));
  await pass(world.server.loginMs);
  expect(dials()).toBe(1);
  for (const { error } of callers) expect(error).toBeInstanceOf(ServerUnavailableError);
});

test('a connection that logs in after the pool was closed is closed at once', async () => {
  const pool = aPool({ max: 1 }, sqlLogin);
  const acquired = outcome(pool.acquire());
  await pass(5);
  const [connection] = [...world.server.connections] as [DrivenConnection];
  // tedious 19 continues its login.
  connection.close = () => {};
  const closed = outcome(pool.close());
  await pass(0);
  expect(acquired.error).toBeInstanceOf(PoolClosedError);
  Reflect.deleteProperty(connection, 'close');
  await pass(30 * SECOND);
  settled(closed);
  expect(connection.closed).toBe(true);
  expect(pool.stats).toMatchObject({ size: 0, opening: 0 });
});

test('a token is not sent to a server that does not encrypt', async () => {
  for (const options of [{}, undefined, { encrypt: true }]) {
    const pool = aPool({ max: 1 }, { options });
    world.server.encrypts = false;
    const acquired = outcome(pool.acquire());
    await pass(SECOND);
    expect(acquired.error).toBeInstanceOf(EncryptionRequiredError);
    expect(pool.stats).toMatchObject({ size: 0, logins: 0 });
  }
});

test('if encryption starts before TDS, there is nothing to wait for', async () => {
  const pool = aPool({ max: 1 }, { options: { encrypt: 'strict' } as never });
  world.server.encrypts = false;
  await opened(pool, 1);
  expect(pool.stats).toMatchObject({ size: 1, logins: 1 });
});

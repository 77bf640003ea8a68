import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { type EventEmitter, getEventListeners } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import type { TediousModule } from '../../src/connections/dial.js';
import { DialTimeout } from '../../src/connections/dial.js';
import { Dialer } from '../../src/connections/dialer.js';
import type { ServerMessage } from '../../src/connections/login-failure.js';
import { settingsFrom } from '../../src/connections/settings.js';
import {
  ConfigurationError,
  LoginRefusedError,
  PoolClosedError,
  ServerUnavailableError,
  StaleTokenError,
  type TokenPoolConfig,
} from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { DrivenServer } from '../support/driven-server.js';
import { FakeProvider } from '../tokens/fake-provider.js';

const clock = clockPerTest();

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

const says = (number: number, message: string, state = 1): ServerMessage => ({ number, state, class: 14, message });
const BUSY = says(40613, 'Database is not currently available.');
const NO_DATABASE = says(4060, 'Cannot open database.', 2);
const EXPIRED = says(18456, 'Login failed. Token is expired.', 233);
const ANONYMOUS = says(18456, "Login failed for user 'NT AUTHORITY\\ANONYMOUS LOGON'.");
const NO_USER = says(18456, 'Login failed for user sa.', 8);

/** A dialer of one pool, its server and identity provider. */
function site(config: Partial<TokenPoolConfig> = {}) {
  const server = new DrivenServer();
  const provider = new FakeProvider();
  const settings = settingsFrom({
    server: 'host',
    tedious: server.tedious,
    authentication: provider,
    connectionTimeout: MINUTE,
    ...config,
  });
  const refused: string[] = [];
  const owner = {
    isFailingOver: false,
    tokenRefused: ({ id }: { id: string }) => {
      refused.push(id);
    },
  };
  const dialer = new Dialer(settings, { name: 'a pool' }, owner);
  /** Settles when time has passed. */
  const open = (options?: Parameters<Dialer['open']>[0]) => {
    const opened = dialer.open(options).then(
      (session) => ({ session, error: undefined, at: performance.now() }),
      (error) => ({ session: undefined, error, at: performance.now() }),
    );
    return opened;
  };
  const login = async (ms = server.loginMs) => {
    const opened = open();
    await clock.pass(ms);
    return opened;
  };
  return { server, provider, dialer, owner, refused, open, login };
}

function published(name: 'opened' | 'login-failed'): Record<string, unknown>[] {
  const seen: Record<string, unknown>[] = [];
  const channel = `mssql-token-pool:connection:${name}`;
  const listener = (message: unknown) => seen.push(message as Record<string, unknown>);
  subscribe(channel, listener);
  onTestFinished(() => {
    unsubscribe(channel, listener);
  });
  return seen;
}

test('a login needs neither a limit nor a signal, and leaves no timer behind', async () => {
  const { dialer, login } = site();
  const opened = published('opened');
  await clock.pass(SECOND);
  const { session } = await login();
  expect(session?.token?.reveal()).toBe('token-1');
  expect(clock.pending.size).toBe(0);
  expect([dialer.pauseMs, dialer.nextAttemptAt, dialer.lastFailure, dialer.earlyEnds]).toEqual([0, 0, undefined, 0]);
  expect(opened).toEqual([
    {
      pool: 'a pool',
      connection: session?.id,
      tokenId: session?.token?.id,
      tokenExpiresOn: session?.token?.expiresOn,
      durationMs: 10,
    },
  ]);
});

test('a caller that leaves ends its login with its reason; nothing listens to it afterwards', async () => {
  const { server, open } = site();
  const controller = new AbortController();
  const left = open({ signal: controller.signal });
  await clock.pass(1);
  const reason = new Error('left');
  controller.abort(reason);
  expect((await left).error).toBe(reason);
  expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  await clock.pass(SECOND);
  expect(server.connections.size).toBe(0);
  // Without a login at all.
  expect((await open({ signal: controller.signal })).error).toBe(reason);
  expect(server.dials).toHaveLength(1);
});

test('a dialer that is closed ends its logins, and starts no others', async () => {
  const { server, dialer, open } = site();
  const pending = open();
  await clock.pass(1);
  const closed = new PoolClosedError('a pool is closed');
  dialer.close(closed);
  expect((await pending).error).toBe(closed);
  expect((await open()).error).toBe(closed);
  await clock.pass(SECOND);
  expect(server.dials).toHaveLength(1);
});

test.each([
  [undefined, 3_000],
  [1_200, 1_200],
  [9_000, 3_000],
])('a login ends at the earlier of its deadline (%s) and createTimeoutMillis', async (deadline, ms) => {
  const { server, open, login } = site({ pool: { createTimeoutMillis: 3_000 } });
  await login();
  server.loginMs = MINUTE;
  const start = performance.now();
  const hanging = open({ deadline: deadline && start + deadline });
  await clock.pass(9_000);
  const { error, at } = await hanging;
  expect(at - start).toBe(ms);
  expect(error).toBeInstanceOf(ServerUnavailableError);
  expect(error.message).toBe('No login within 3000 ms.');
});

test('if the time for a login runs out in a pause, the error says why and names the limit', async () => {
  const { server, open, login } = site({ pool: { createTimeoutMillis: 3_000 } });
  server.refusals = [BUSY];
  const first = await login();
  expect(first.error).toMatchObject({ number: 40613 });
  const second = open();
  await clock.pass(3_000);
  const { error } = await second;
  expect(error).toBeInstanceOf(ServerUnavailableError);
  expect(error.message).toContain('No login within 3000 ms.');
  expect(error.cause).toBe(first.error);
  expect(error.hint).toBe('The limit is pool.createTimeoutMillis.');
  expect(server.dials).toHaveLength(1);
});

test('a server that is busy is tried again, where the pause ends before the deadline', async () => {
  const failed = published('login-failed');
  const { server, dialer, open } = site({ pool: { createTimeoutMillis: 5_021 } });
  server.refusals = [BUSY];
  const opened = open();
  await clock.pass(10);
  const [{ error } = {}] = failed;
  expect(failed).toEqual([{ pool: 'a pool', error, kind: 'transient', durationMs: 10 }]);
  expect(dialer.lastFailure).toEqual({ error, at: performance.now() });
  expect([dialer.pauseMs, dialer.nextAttemptAt]).toEqual([5_000, performance.now() + 5_000]);
  await clock.pass(5_010);
  expect((await opened).session).toBeDefined();
  expect([dialer.lastFailure, dialer.pauseMs]).toEqual([undefined, 0]);
});

test('a pause that ends at the deadline is not waited for', async () => {
  const { server, login } = site({ pool: { createTimeoutMillis: 5_010 } });
  server.refusals = [BUSY];
  const { error, at } = await login();
  expect([error.number, at]).toEqual([40613, performance.now()]);
});

// ---- fresh tokens ----

test('a token that the server calls expired is replaced once, however often that happens', async () => {
  const { server, provider, refused, login } = site();
  server.refusals = [EXPIRED, EXPIRED, EXPIRED];
  const { error } = await login(SECOND);
  expect(error).toBeInstanceOf(StaleTokenError);
  expect([server.dials.length, provider.issued]).toEqual([2, 2]);
  expect(refused).toHaveLength(1);
});

test.each(['the same token again', 'an error'])(
  'where the provider has only %s, the error is what the server said',
  async (answer) => {
    const { server, provider, login } = site();
    const token = provider.issue();
    provider.next = [token];
    provider.sticky = answer === 'an error' ? new Error('down') : token;
    server.refusals = [EXPIRED, ANONYMOUS];
    const { error } = await login(MINUTE);
    expect(error).toBeInstanceOf(StaleTokenError);
    expect(server.dials).toHaveLength(1);
  },
);

test.each([
  ['a SQL login', { authentication: undefined, user: 'sa', password: 'p' }],
  ['a login that has sent no token', {}],
])('%s that is refused for an expired token has nothing to replace', async (_, config) => {
  const { tedious } = new DrivenServer();
  class RefusesEarly extends tedious.Connection {
    override connect(done: (error?: Error) => void): void {
      setTimeout(() => {
        (this as unknown as EventEmitter).emit('errorMessage', EXPIRED);
        done(Object.assign(new Error('no'), { code: 'ELOGIN' }));
      }, 10);
    }
  }
  const { refused, login } = site({ ...config, tedious: { ...tedious, Connection: RefusesEarly } as TediousModule });
  expect((await login(10)).error).toBeInstanceOf(StaleTokenError);
  expect(refused).toEqual([]);
});

test('a principal without a user is refused at once, and later with the same token too', async () => {
  const { server, provider, login } = site();
  server.refusals = [ANONYMOUS];
  expect((await login()).error).toBeInstanceOf(LoginRefusedError);
  await clock.pass(30 * MINUTE);
  server.refusals = [ANONYMOUS];
  expect((await login()).error).toBeInstanceOf(LoginRefusedError);
  expect([server.dials.length, provider.issued]).toEqual([2, 1]);
});

test.each([
  ['one that was refused for another reason while it was fresh', NO_DATABASE, ANONYMOUS],
  ['one that is called expired, though it was refused while it was fresh', ANONYMOUS, EXPIRED],
])('a refused token is replaced: %s', async (_, whenFresh, later) => {
  const { server, provider, refused, login } = site();
  server.refusals = [whenFresh];
  expect((await login()).error).toBeInstanceOf(LoginRefusedError);
  await clock.pass(30 * MINUTE);
  server.refusals = [later];
  const { session } = await login(SECOND);
  expect([session?.token?.reveal(), provider.issued, refused.length]).toEqual(['token-2', 2, 1]);
});

// ---- failover ----

test.each([
  ['the database is not open yet', NO_DATABASE],
  ['its users are not known yet', ANONYMOUS],
])('in a failover a login that worked before is repeated: %s', async (_, refusal) => {
  const failed = published('login-failed');
  const { server, owner, login } = site();
  await login();
  owner.isFailingOver = true;
  server.refusals = [refusal];
  expect((await login(10 * SECOND)).session).toBeDefined();
  expect(failed).toMatchObject([{ kind: 'transient' }]);
  expect(failed[0]?.error).toBeInstanceOf(ServerUnavailableError);
  const { number, state, class: severity, message } = refusal;
  expect(failed[0]?.error).toMatchObject({
    number,
    state,
    class: severity,
    hint: 'The database has failed over, and the login is repeated until the new primary is ready.',
    cause: { number },
  });
  expect(String(failed[0]?.error)).toContain(message);
});

test.each([
  ['without a login before', { hasLoggedIn: false, isFailingOver: true, refusal: NO_DATABASE }],
  ['without a failover', { hasLoggedIn: true, isFailingOver: false, refusal: NO_DATABASE }],
  ['for another reason', { hasLoggedIn: true, isFailingOver: true, refusal: NO_USER }],
])('a refusal %s is final', async (_, { hasLoggedIn, isFailingOver, refusal }) => {
  const { server, owner, login } = site({ authentication: undefined, user: 'sa', password: 'p' });
  if (hasLoggedIn) await login();
  owner.isFailingOver = isFailingOver;
  server.refusals = [refusal];
  const { error } = await login();
  expect(error).toBeInstanceOf(LoginRefusedError);
  expect(error.number).toBe(refusal.number);
});

test('during a failover, a mistake in the config is still reported as one', async () => {
  let throws = false;
  const { owner, login } = site({
    beforeConnect: () => {
      if (throws) throw new Error('no such name');
    },
  });
  await login();
  owner.isFailingOver = true;
  throws = true;
  expect((await login()).error).toBeInstanceOf(ConfigurationError);
});

// ---- sessions that end early ----

/** A dialer whose sessions have ended right after their login. */
async function endedEarly(times: number, config: Partial<TokenPoolConfig> = {}) {
  const s = site(config);
  for (let i = 1; i <= times; i += 1) {
    await clock.pass(s.dialer.pauseMs);
    expect((await s.login()).session).toBeDefined();
    s.dialer.sessionEndedEarly(new Error(`cut ${i}`), 0);
  }
  return s;
}

test('one session that ends early causes no wait, but is the latest failure', async () => {
  const { dialer } = await endedEarly(1);
  expect([dialer.earlyEnds, dialer.pauseMs]).toEqual([1, 0]);
  expect(dialer.lastFailure).toMatchObject({ error: { message: 'cut 1' }, at: performance.now() });
});

test.each([
  ['was opened before the other ended', 51, 1],
  ['was opened when the other ended', 50, 2],
  ['was opened after the other ended', 49, 2],
])('a session that ends early and %s: %i ms old, %i in a row', async (_, ageMs, count) => {
  const { dialer } = await endedEarly(1);
  await clock.pass(50);
  dialer.sessionEndedEarly(new Error('cut too'), ageMs);
  expect(dialer.earlyEnds).toBe(count);
  expect(dialer.lastFailure?.error.message).toBe(count === 1 ? 'cut 1' : 'cut too');
  expect(dialer.pauseMs).toBe(count === 1 ? 0 : 250);
});

test('a session that ends early with others does not count as one that has lasted', async () => {
  const { dialer, login } = await endedEarly(1);
  await login();
  dialer.sessionEndedEarly(new Error('cut too'), 20);
  await clock.pass(MINUTE);
  expect(dialer.earlyEnds).toBe(1);
});

test('several sessions that end early put the server into a pause, until one has lasted', async () => {
  const { dialer, login } = await endedEarly(3);
  expect([dialer.earlyEnds, dialer.pauseMs]).toEqual([3, 500]);
  expect(dialer.lastFailure?.error.message).toBe('cut 3');
  await login(510);
  await clock.pass(10 * SECOND - 1);
  expect(dialer.earlyEnds).toBe(3);
  await clock.pass(1);
  expect(dialer.lastFailure).toBeUndefined();
  expect([dialer.earlyEnds, dialer.pauseMs]).toEqual([0, 0]);
});

test.each(['earlyEnds', 'lastFailure', 'open'] as const)(
  'a session that has lasted ends the probation of the server (seen by %s)',
  async (seenBy) => {
    const { dialer, login } = await endedEarly(3);
    await login(510);
    await clock.pass(10 * SECOND);
    if (seenBy === 'open') await login();
    else expect(dialer[seenBy]).toBe(seenBy === 'earlyEnds' ? 0 : undefined);
    // On probation, a pause would follow the login.
    await login();
    expect([dialer.pauseMs, dialer.nextAttemptAt, dialer.lastFailure]).toEqual([0, 0, undefined]);
  },
);

test('the time for a login runs out in the pause after sessions that end early', async () => {
  const { open } = await endedEarly(6, { pool: { createTimeoutMillis: SECOND } });
  const opened = open();
  await clock.pass(SECOND);
  const { error } = await opened;
  expect(error).toBeInstanceOf(ServerUnavailableError);
  expect(error.cause).toBeInstanceOf(DialTimeout);
  expect(error.cause).toMatchObject({ message: 'No login within 1000 ms.', code: 'ETIMEOUT' });
});

test('a session that serves ends the pause', async () => {
  const { dialer } = await endedEarly(4);
  expect(dialer.pauseMs).toBeGreaterThan(0);
  dialer.sessionsLast();
  expect([dialer.earlyEnds, dialer.pauseMs]).toEqual([0, 0]);
});

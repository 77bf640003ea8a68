import type { Connection } from 'tedious';
import { describe, expect, test } from 'vitest';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import { LoginWatch } from '../../src/connections/login-watch.js';
import { sessionOf } from '../../src/connections/session.js';
import { settingsFrom } from '../../src/connections/settings.js';
import { TokenUnavailableError } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { type DrivenConnection, DrivenServer } from '../support/driven-server.js';
import { outcome, settled } from '../support/driven-world.js';
import { FakeProvider } from '../tokens/fake-provider.js';

const clock = clockPerTest();

const MINUTE = 60_000;
const SQL_LOGIN = { authentication: undefined, user: 'sa', password: 'secret' };

/** Another library's pool: it constructs connections and emits their outcome. */
function foreignPool(config: Partial<TokenPoolConfig> = {}) {
  const server = new DrivenServer();
  const provider = new FakeProvider();
  const settings = settingsFrom({ server: 'host', authentication: provider, ...config } as TokenPoolConfig);
  const watch = new LoginWatch(settings);
  const construct = (authentication: object = { type: 'token-credential', options: {} }) => {
    const made = new server.tedious.Connection({ server: 'host', options: { encrypt: true }, authentication } as never);
    const connection = made as unknown as DrivenConnection & { config: { authentication?: { options: object } } };
    // tedious keeps its own copy of the configuration.
    Object.assign(connection.config, { authentication });
    return connection;
  };
  const connect = async (connection = construct()) => {
    watch.adopt(connection as unknown as Connection).begin();
    const credential = (connection.config?.authentication?.options as { credential?: never } | undefined)?.credential;
    let failure: Error | undefined;
    connection.on('connect', (error?: Error) => {
      failure = error;
    });
    await new Promise<void>((resolve) => {
      connection.emit('secure');
      const logIn = async () => {
        const refusal = server.refusals.shift();
        try {
          await (credential as { getToken?: (scope: string[]) => Promise<unknown> } | undefined)?.getToken?.([]);
        } catch (cause) {
          return new AggregateError([cause], '');
        }
        if (refusal === undefined) return undefined;
        connection.emit('errorMessage', refusal);
        return new Error(refusal.message);
      };
      void logIn().then((error) => {
        if (error === undefined) connection.state = { name: 'LoggedIn' };
        connection.emit('connect', error);
        resolve();
      });
    });
    return { connection, failure: failure as (Error & Record<string, unknown>) | undefined };
  };
  const mayServe = async (connection: DrivenConnection, waitMs = 0) => {
    const seen = outcome(watch.mayServe(connection as unknown as Connection));
    await clock.pass(waitMs);
    return seen.at === undefined ? 'waiting' : settled(seen);
  };
  const mayServeNow = (connection: DrivenConnection) => watch.mayServeNow(connection as unknown as Connection);
  return { server, provider, settings, watch, construct, connect, mayServe, mayServeNow };
}

const sessionIn = (connection: DrivenConnection) => sessionOf(connection as unknown as Connection);

describe('a login', () => {
  test('gets its own credential, and its session gets the token and the age limit of the config', async () => {
    const { connect, construct } = foreignPool({ pool: { maxAgeMillis: 5 * MINUTE } });
    const { connection, failure } = await connect();
    expect(failure).toBeUndefined();
    const session = sessionIn(connection);
    expect(session?.token?.reveal()).toBe('token-1');
    expect(session?.expiry.retireAt).toBe(Date.now() + 5 * MINUTE);
    expect(session?.reset).toBeUndefined();
    const own = construct();
    const other = construct();
    expect(own.config).not.toBe(other.config);
  });

  test.each([undefined, {}])('a connection whose configuration is %j is adopted too', async (config) => {
    const { connect, construct } = foreignPool();
    const connection = construct();
    Object.assign(connection, { config });
    expect((await connect(connection)).failure).toBeUndefined();
  });

  test('is resettable only if the config asks for it', async () => {
    const { connect } = foreignPool({ pool: { resetSession: 'always' } });
    expect(sessionIn((await connect()).connection)?.reset).toBeDefined();
  });

  test('of SQL gets the password of the config, unless the application has set its own', async () => {
    const { connect, construct } = foreignPool(SQL_LOGIN);
    for (const [options, password] of [
      [{ userName: 'sa' }, 'secret'],
      [{ userName: 'sa', password: 'its own' }, 'its own'],
    ] as const) {
      const { connection } = await connect(construct({ type: 'default', options: { ...options } }));
      expect(connection.config.authentication?.options).toHaveProperty('password', password);
      expect(sessionIn(connection)?.token).toBeUndefined();
    }
    expect((await connect(construct({ type: 'default' }))).failure).toBeUndefined();
  });
});

describe('a failed login', () => {
  const REFUSED = {
    number: 18456,
    state: 1,
    class: 14,
    message: "Login failed for user '<token-identified principal>'.",
  };

  test("keeps the driver's error, with number, state, class and a hint", async () => {
    const { server, connect } = foreignPool();
    server.refusals = [REFUSED];
    const { failure, connection } = await connect();
    expect(failure).toMatchObject({
      message: REFUSED.message,
      code: 'ELOGIN',
      number: 18456,
      state: 1,
      class: 14,
      hint: expect.stringContaining('CREATE USER'),
    });
    // Ours has it as its cause.
    expect(failure?.cause).toBeUndefined();
    expect(sessionIn(connection)).toBeUndefined();
  });

  test('of a stale token: the next login gets another token', async () => {
    const { server, provider, connect } = foreignPool();
    server.refusals = [{ ...REFUSED, state: 233 }];
    const { failure } = await connect();
    expect(failure).toMatchObject({ number: 18456, state: 233, hint: expect.stringContaining('fresh token') });
    expect((await connect()).failure).toBeUndefined();
    expect(provider.requests).toHaveLength(2);
  });

  test('that is refused for another reason does not cost a token', async () => {
    const { server, provider, connect } = foreignPool();
    server.refusals = [REFUSED];
    await connect();
    await connect();
    expect(provider.requests).toHaveLength(1);
  });

  test('without a token has the error of the identity provider instead of an empty message', async () => {
    const { provider, connect } = foreignPool();
    provider.sticky = new Error('AADSTS7000215: Invalid client secret');
    const { failure } = await connect();
    expect(failure).toMatchObject({ code: 'EFEDAUTH', message: expect.stringContaining('AADSTS7000215') });
    expect(failure?.cause).toBeInstanceOf(TokenUnavailableError);
  });

  test('whose driver gives neither message nor code has both', async () => {
    const { construct, watch } = foreignPool(SQL_LOGIN);
    for (const [error, message, code] of [
      [new Error(''), 'No connection to host.', 'EFEDAUTH'],
      [new AggregateError([], 'several addresses'), 'several addresses', 'EFEDAUTH'],
      [new Error('cut'), 'cut', 'ELOGIN'],
    ] as const) {
      const connection = construct({ type: 'default', options: {} });
      watch.adopt(connection as unknown as Connection);
      connection.emit('connect', error);
      expect(error).toMatchObject({ message, code });
      // What the server has not said is not there.
      expect(Object.keys(error)).not.toContain('number');
    }
  });

  test('keeps a code of its own, and an error of this library stays as it is', async () => {
    const { connect, construct, watch } = foreignPool(SQL_LOGIN);
    const failing = async (error: Error) => {
      const connection = construct({ type: 'default', options: {} });
      watch.adopt(connection as unknown as Connection);
      connection.emit('connect', error);
      return error as Error & { code?: string };
    };
    expect(await failing(Object.assign(new Error('x'), { code: 'ESOCKET' }))).toMatchObject({
      code: 'ESOCKET',
      hint: expect.stringContaining('Check the server name and port'),
    });
    const ours = new TokenUnavailableError('no token');
    expect(await failing(ours)).not.toHaveProperty('hint', expect.any(String));
    expect((await connect(construct({ type: 'default', options: {} }))).failure).toBeUndefined();
  });
});

describe('a checkout', () => {
  test('accepts a session that is fit, and one that this library does not know', async () => {
    const { connect, construct, mayServe, mayServeNow } = foreignPool();
    const { connection } = await connect();
    expect([await mayServe(connection), mayServeNow(connection)]).toEqual([true, true]);
    const unknown = construct();
    expect([await mayServe(unknown), mayServeNow(unknown)]).toEqual([true, true]);
  });

  test('replaces a session that is due once there is a later token, and keeps the session until then', async () => {
    const { provider, connect, mayServe, mayServeNow } = foreignPool({ pool: { maxAgeMillis: 0 } });
    const { connection } = await connect();
    provider.sticky = new Error('down');
    await clock.pass(59 * MINUTE);
    expect([await mayServe(connection), mayServeNow(connection)]).toEqual([true, true]);
    provider.sticky = undefined;
    await clock.pass(5 * MINUTE);
    await mayServe(connection);
    await clock.pass(2_000);
    expect([await mayServe(connection), mayServeNow(connection)]).toEqual([false, false]);
  });

  test('does not return a session inside a transaction', async () => {
    const { connect, mayServe, mayServeNow } = foreignPool();
    const { connection } = await connect();
    connection.inTransaction = true;
    expect([await mayServe(connection), mayServeNow(connection)]).toEqual([false, false]);
  });

  test('with strictExpiry, does not return a session past its token while no other one can be obtained', async () => {
    const { provider, connect, mayServe, mayServeNow } = foreignPool({ strictExpiry: true });
    const { connection } = await connect();
    provider.sticky = new Error('down');
    await clock.pass(61 * MINUTE);
    expect(await mayServe(connection, 11_000)).toBe(false);
    expect(mayServeNow(connection)).toBe(false);
  });

  test('waits for a token that has been requested, if it can wait', async () => {
    const { provider, connect, mayServe, mayServeNow } = foreignPool({ pool: { maxAgeMillis: 0 } });
    const { connection } = await connect();
    provider.delayMs = 500;
    await clock.pass(61 * MINUTE);
    expect(mayServeNow(connection)).toBe(false);
    expect(await mayServe(connection)).toBe('waiting');
    await clock.pass(500);
    expect(await mayServe(connection)).toBe(false);
  });

  test('a SQL login is replaced when its age is due', async () => {
    const { connect, construct, mayServe, mayServeNow } = foreignPool({ ...SQL_LOGIN, pool: { maxAgeMillis: MINUTE } });
    const { connection } = await connect(construct({ type: 'default', options: {} }));
    await clock.pass(30_000);
    expect([await mayServe(connection), mayServeNow(connection)]).toEqual([true, true]);
    await clock.pass(30_000);
    expect([await mayServe(connection), mayServeNow(connection)]).toEqual([false, false]);
  });

  test('a session whose token the server refuses is not used again, and neither is the token', async () => {
    const { provider, connect, mayServe, mayServeNow } = foreignPool();
    const { connection } = await connect();
    connection.emit('errorMessage', { number: 208, state: 1, class: 16, message: 'Invalid object name.' });
    expect(mayServeNow(connection)).toBe(true);
    connection.emit('errorMessage', { number: 37396, state: 1, class: 16, message: 'The token has expired.' });
    expect([await mayServe(connection), mayServeNow(connection)]).toEqual([false, false]);
    await connect();
    expect(provider.requests).toHaveLength(2);
  });

  test('resets the session where a flag on the next request is not enough, if there is time for it', async () => {
    const { connect, mayServe, mayServeNow } = foreignPool({ pool: { resetSession: 'always' } });
    const { connection } = await connect();
    expect([await mayServe(connection), mayServeNow(connection)]).toEqual([true, true]);
    const request = { sql: 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE', done: () => {} };
    connection.execSqlBatch(request as never);
    expect(mayServeNow(connection)).toBe(false);
    expect(await mayServe(connection)).toBe(true);
    expect(connection.resets).toBe(1);
    expect(mayServeNow(connection)).toBe(true);
  });

  test('does not return a session that the server has not reset', async () => {
    const { server, connect, mayServe, mayServeNow } = foreignPool({ pool: { resetSession: 'always' } });
    server.confirmsResets = false;
    const { connection } = await connect();
    connection.execSqlBatch({ sql: 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE', done: () => {} } as never);
    expect(await mayServe(connection)).toBe(false);
    const other = (await connect()).connection;
    other.execSqlBatch({ sql: 'USE other', done: () => {} } as never);
    await mayServe(other);
    expect([await mayServe(other), mayServeNow(other)]).toContain(false);
  });

  test('a session that is due for its age is kept while no login is possible, and replaced as soon as one is', async () => {
    const { provider, connect, mayServe, mayServeNow } = foreignPool({ pool: { maxAgeMillis: 70 * MINUTE } });
    const { connection } = await connect();
    await clock.pass(54 * MINUTE);
    // Near the end of its own token, and of its age.
    sessionIn(connection)?.expiry.supersede();
    expect([await mayServe(connection), mayServeNow(connection)]).toEqual([false, false]);
    provider.sticky = new Error('down');
    const { connection: other } = await foreignPool({ pool: { maxAgeMillis: 70 * MINUTE } }).connect();
    expect(await mayServe(other)).toBe(true);
  });

  test.each([true, false])('a session whose reset was ignored is replaced (can wait: %s)', async (canWait) => {
    const { server, connect, mayServe, mayServeNow } = foreignPool({ pool: { resetSession: 'always' } });
    const { connection } = await connect();
    // A login that leaves the options to the server, so that the reset can travel with the next request.
    connection.sendLogin7Packet();
    connection.getInitialSql();
    const use = () => connection.execSqlBatch({ sql: 'SELECT 1', done: () => {} } as never);
    use();
    expect(mayServeNow(connection)).toBe(true);
    server.confirmsResets = false;
    use();
    expect(canWait ? await mayServe(connection) : mayServeNow(connection)).toBe(false);
  });
});

describe('a database that is read-only', () => {
  const READ_ONLY = { number: 3906, state: 1, class: 16, message: 'The database is read-only.' };
  const KILLED = { number: 596, state: 1, class: 21, message: 'In the kill state.' };

  test('costs each session that was open one replacement, and those opened since then none for a minute', async () => {
    const { connect, mayServeNow } = foreignPool();
    const { connection: first } = await connect();
    const { connection: second } = await connect();
    await clock.pass(1_000);
    first.emit('errorMessage', READ_ONLY);
    expect([mayServeNow(first), mayServeNow(second)]).toEqual([false, true]);
    const { connection: third } = await connect();
    second.emit('errorMessage', READ_ONLY);
    third.emit('errorMessage', READ_ONLY);
    expect([mayServeNow(second), mayServeNow(third)]).toEqual([false, true]);
    await clock.pass(MINUTE);
    third.emit('errorMessage', READ_ONLY);
    expect(mayServeNow(third)).toBe(false);
  });

  test('is not what a session has met that the server has ended otherwise', async () => {
    const { connect, mayServeNow } = foreignPool();
    const { connection: first } = await connect();
    first.emit('errorMessage', KILLED);
    const { connection: second } = await connect();
    second.emit('errorMessage', READ_ONLY);
    expect([mayServeNow(first), mayServeNow(second)]).toEqual([false, false]);
    const { connection: third } = await connect();
    third.emit('errorMessage', KILLED);
    expect(mayServeNow(third)).toBe(false);
  });
});

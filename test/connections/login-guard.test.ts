import { EventEmitter } from 'node:events';
import { inspect } from 'node:util';
import type { Connection } from 'tedious';
import { describe, expect, test } from 'vitest';
import { guardedEmits, LoginGuard } from '../../src/connections/login-guard.js';
import { openSession } from '../../src/connections/session.js';
import { TokenCache } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from '../tokens/fake-provider.js';

const clock = clockPerTest();

const SECRET = 'a long secret';

/** A connection whose TLS handshakes, redirects and messages come from the test. */
function login(config: object | undefined = { options: { encrypt: true, connectTimeout: 15_000 } }) {
  const destroyed: Error[] = [];
  const socket = () =>
    Object.assign(new EventEmitter(), { encrypted: false, destroy: (error: Error) => destroyed.push(error) });
  const connection = Object.assign(new EventEmitter(), {
    socket: socket(),
    state: { name: 'SentLogin7' },
    config,
    routingData: undefined as object | undefined,
    closed: 0,
    close() {
      connection.closed += 1;
    },
  });
  const guard = new LoginGuard(connection as unknown as Connection);
  return {
    connection,
    guard,
    destroyed,
    redirect(target: object | undefined = { server: 'other.example', instance: undefined }) {
      connection.routingData = target;
      connection.emit('rerouting');
      connection.socket = socket();
    },
    say(message: object, event = 'errorMessage'): object {
      connection.emit(event, message);
      return message;
    },
  };
}

describe('the time of a login', () => {
  test("ends half a second after tedious's own limit: first the socket fails, a tenth of a second later the connection", async () => {
    const { connection, guard, destroyed } = login();
    const failed: Error[] = [];
    connection.on('connect', (error) => failed.push(error));
    guard.begin();
    expect([...clock.pending].map((timer) => timer.hasRef())).toEqual([false]);
    await clock.pass(15_499);
    expect(destroyed).toEqual([]);
    await clock.pass(1);
    expect(destroyed).toEqual([
      expect.objectContaining({
        code: 'ETIMEOUT',
        message: 'The server did not complete the login within 15000 ms (step: SentLogin7).',
      }),
    ]);
    // An error without a listener would end the process.
    expect(() => connection.socket.emit('error', destroyed[0])).not.toThrow();
    await clock.pass(99);
    expect([failed.length, connection.closed]).toEqual([0, 0]);
    await clock.pass(1);
    expect([failed, connection.closed]).toEqual([destroyed, 1]);
  });

  test.each([
    [undefined, 0],
    [{}, 0],
    [{ options: {} }, 0],
    [{ options: { connectTimeout: 0 } }, 0],
    [{ options: { connectTimeout: 15_000 } }, 1],
  ])('with %j there are %i timers', (config, timers) => {
    const { guard, connection } = login(config);
    Object.assign(connection, { config });
    guard.begin();
    expect(clock.pending.size).toBe(timers);
    guard.end();
    expect(clock.pending.size).toBe(0);
  });

  test.each(['rerouting', 'retry'])('starts anew at each hop (%s), once it runs', async (event) => {
    const { connection, guard, destroyed } = login();
    connection.emit(event);
    expect(clock.pending.size).toBe(0);
    guard.begin();
    await clock.pass(15_000);
    connection.emit(event);
    await clock.pass(15_000);
    expect(destroyed).toEqual([]);
    await clock.pass(500);
    expect(destroyed).toHaveLength(1);
  });

  test('does not include the wait for a token', async () => {
    const { guard, destroyed } = login();
    let resolve: (token: string) => void = () => {};
    const token = new Promise<string>((done) => {
      resolve = done;
    });
    guard.begin();
    const paused = guard.pauseFor(token);
    expect(clock.pending.size).toBe(0);
    await clock.pass(60_000);
    resolve('token');
    expect(await paused).toBe('token');
    await clock.pass(15_499);
    expect(destroyed).toEqual([]);
    await clock.pass(1);
    expect(destroyed).toHaveLength(1);
  });

  test('does not start after the wait for a token if it was not running before, or if the dial is over', async () => {
    const waiting = login();
    await waiting.guard.pauseFor(Promise.resolve());
    expect(clock.pending.size).toBe(0);
    const over = login();
    over.guard.begin();
    const paused = over.guard.pauseFor(Promise.reject(new Error('no token'))).catch((error: Error) => error.message);
    over.guard.cancel(new Error('given up'));
    expect(await paused).toBe('no token');
    expect(clock.pending.size).toBe(0);
  });

  test('ends with the dial', () => {
    const { guard } = login();
    guard.begin(1_000);
    guard.cancel(new Error('given up'));
    expect(clock.pending.size).toBe(0);
  });
});

describe('what may be sent', () => {
  test.each([undefined, {}, { options: {} }])('nothing before encryption is proven: config %j', (config) => {
    const { guard, connection } = login();
    Object.assign(connection, { config });
    expect(() => guard.assertMaySend('password')).toThrow(
      expect.objectContaining({
        code: 'ERR_ENCRYPTION_REQUIRED',
        message: 'The server does not encrypt this connection; the password was not sent.',
        hint: "Enable encryption on the server, or use options.encrypt: 'strict' with a server that supports TDS 8.",
      }),
    );
    connection.emit('secure');
    guard.assertMaySend('password');
    connection.emit('retry');
    expect(() => guard.assertMaySend('password')).toThrow('the password was not sent');
  });

  test('nothing on a strict connection without a socket', () => {
    const { guard, connection } = login({ options: { encrypt: 'strict' } });
    Object.assign(connection, { socket: undefined });
    expect(() => guard.assertMaySend('access token')).toThrow('the access token was not sent');
  });

  test('the password of a SQL login is withheld and hidden until then', () => {
    const config = { options: { encrypt: true }, authentication: { options: { userName: 'sa', password: SECRET } } };
    const { connection } = login(config);
    const { options } = config.authentication;
    expect(() => options.password).toThrow('the password was not sent');
    expect(inspect(connection, { depth: 9, showHidden: false })).not.toContain(SECRET);
    expect({ ...options }).toEqual({ userName: 'sa' });
    connection.emit('secure');
    expect(options.password).toBe(SECRET);
  });

  test('without encryption by choice, the password is sent, but not once the dial is abandoned', () => {
    const config = { options: { encrypt: false }, authentication: { options: { password: SECRET } } };
    const { guard } = login(config);
    expect(config.authentication.options.password).toBe(SECRET);
    const reason = new Error('given up');
    guard.cancel(reason);
    expect(() => config.authentication.options.password).toThrow(reason);
  });

  test.each([
    { authentication: undefined },
    { authentication: {} },
    { authentication: { options: {} } },
    { authentication: { options: { password: undefined } } },
  ])('a login without a password is left as it is: %j', (config) => {
    const before = inspect(config, { depth: 9 });
    login(config);
    expect(inspect(config, { depth: 9, getters: true })).toBe(before);
  });
});

describe('redirects', () => {
  test('more than five are refused, with what to check', () => {
    const { redirect } = login();
    for (let i = 0; i < 5; i += 1) redirect();
    expect(() => redirect()).toThrow(
      expect.objectContaining({
        code: 'ERR_SERVER_UNAVAILABLE',
        message: 'The server redirected the login more than 5 times.',
        hint: 'Each server names another one: check the gateway or failover group for a loop.',
      }),
    );
  });

  test.each<[object | undefined, boolean]>([
    [undefined, true],
    [{}, true],
    [{ server: 'db-1.example.com' }, true],
    [{ server: '2001:db8::1', instance: 'SQL$1' }, true],
    [{ server: '::1', instance: '' }, true],
    [{ server: '' }, false],
    [{ server: '.' }, false],
    [{ server: '-..' }, false],
    [{ server: '$', instance: 'SQL' }, false],
    [{ server: 'a'.repeat(255) }, true],
    [{ server: 'a'.repeat(256) }, false],
    [{ server: 'host name' }, false],
    [{ server: 'x/../y' }, false],
    [{ server: 'host', instance: 'a;b' }, false],
    [{ server: 'eyJhbGciOiJSUzI1NiJ9.eyJvaWQiOiIxIn0.c2ln' }, false],
    [{ server: `x${SECRET.replaceAll(' ', '-')}` }, false],
  ])('to %j: %j', (target, isAllowed) => {
    const { guard, redirect } = login();
    guard.redacts(SECRET.replaceAll(' ', '-'));
    if (isAllowed) redirect(target);
    else {
      expect(() => redirect(target)).toThrow(
        expect.objectContaining({
          code: 'ERR_SERVER_UNAVAILABLE',
          message: 'The server redirected the login to something that is not the name of a server.',
          hint: 'Check the gateway or failover group, and whether another server answers at this address.',
        }),
      );
    }
  });
});

describe('messages of the server', () => {
  test('are kept during the login, at most 50', () => {
    const { guard, say } = login();
    expect(guard.messages).toEqual([]);
    for (let number = 1; number <= 60; number += 1) say({ number, message: 'x' });
    expect(guard.messages.map(({ number }) => number)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
    guard.end();
    say({ number: 61, message: 'x' });
    expect(guard.messages).toHaveLength(50);
  });

  test.each(['errorMessage', 'infoMessage'])('%s: each secret is redacted, in every form and field', (event) => {
    const { guard, say } = login();
    for (const secret of [SECRET, SECRET, 'another one', 'abc', 'abcd']) guard.redacts(secret);
    const base64 = Buffer.from(SECRET).toString('base64');
    const message = {
      number: 1,
      message: `said ${SECRET}, ${encodeURIComponent(SECRET)} and another one`,
      serverName: `x${base64}`,
      procName: 'abcd',
    };
    expect(say(message, event)).toEqual({
      number: 1,
      message: 'said [hidden], [hidden] and [hidden]',
      serverName: expect.stringMatching(/^x\[hidden\]/),
      procName: '[hidden]',
    });
    // Shorter than that, it is an ordinary word.
    expect(say({ message: 'abc' }, event)).toEqual({ message: 'abc' });
    expect(say({ message: '', serverName: undefined }, event)).toEqual({ message: '', serverName: undefined });
  });

  test('a foreign token is recognized by its form and redacted', () => {
    const { say } = login();
    const token = 'eyJhbGciOiJSUzI1NiJ9.eyJvaWQiOiIxIn0.c2ln';
    expect(say({ message: `bad token ${token}!` })).toEqual({ message: 'bad token [hidden]!' });
  });

  test('are cut where they are very long', () => {
    const { say } = login();
    const { message } = say({ message: 'x'.repeat(1 << 20) }) as { message: string };
    expect(message.length).toBeLessThan(1 << 17);
  });

  test('that are no objects do no harm', () => {
    const { connection } = login();
    expect(() => connection.emit('infoMessage', undefined)).not.toThrow();
  });

  test('are redacted for the life of the session: the token that the session has, and a password', async () => {
    const tokens = new TokenCache(new FakeProvider());
    const token = await tokens.get();
    for (const password of [undefined, SECRET]) {
      const { connection, guard, say } = login();
      openSession(connection as unknown as Connection, password === undefined ? token : undefined);
      guard.redacts(password ?? token.reveal());
      guard.end();
      expect(say({ number: 50_000, message: `${password ?? token.reveal()}?` })).toMatchObject({
        message: '[hidden]?',
      });
    }
    const { connection, guard, say } = login();
    openSession(connection as unknown as Connection, undefined);
    guard.end();
    expect(say({ number: 50_000, message: 'nothing to hide' })).toMatchObject({ message: 'nothing to hide' });
  });

  test('a connection that passes its messages to the guard itself has no listeners for them', () => {
    const emit = EventEmitter.prototype.emit;
    const connection = new EventEmitter();
    const own = function (this: EventEmitter, ...args: Parameters<typeof emit>) {
      return emit.apply(this, args);
    };
    connection.emit = own;
    guardedEmits.add(own);
    new LoginGuard(connection as unknown as Connection);
    expect(connection.eventNames()).not.toContain('errorMessage');
    expect(login().connection.eventNames()).toContain('errorMessage');
  });
});

test('the end of a login leaves nothing but the listeners for messages', () => {
  const { connection, guard } = login();
  guard.begin();
  guard.end();
  expect(connection.eventNames()).toEqual(['errorMessage', 'infoMessage']);
});

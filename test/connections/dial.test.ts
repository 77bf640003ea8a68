import { type EventEmitter, getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { DialFailedError, type DialOptions, DialTimeout, dial } from '../../src/connections/dial.js';
import { ConfigurationError, PoolClosedError, TokenCache } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { DrivenServer } from '../support/driven-server.js';
import { FakeProvider } from '../tokens/fake-provider.js';

const clock = clockPerTest();

/** One attempt, and the server that it meets. */
function attempt(options: Partial<DialOptions> = {}) {
  const server = new DrivenServer();
  const end = new AbortController();
  const tokens = new TokenCache(new FakeProvider());
  const source = { tokens, scope: 'https://database.windows.net/.default', scopeIsFixed: true };
  const start = () => {
    const { tedious } = server;
    const configuration = { server: 'host', options: { encrypt: true } };
    return dial({ tedious, configuration, source, signal: end.signal, ...options } as never).then(
      (session) => ({ session, error: undefined }),
      (error: unknown) => ({ session: undefined, error }),
    );
  };
  return { server, end, tokens, start };
}

test('a session has the token it logged in with, and its age from the end of its login', async () => {
  const { server, tokens, start, end } = attempt({ maxAgeMillis: 3_600_000 });
  await tokens.get();
  server.loginMs = 2_000;
  const opened = start();
  await clock.pass(2_000);
  const { session } = await opened;
  expect(session?.token?.reveal()).toBe('token-1');
  expect(session?.expiry).toMatchObject({ openedAt: Date.now(), retireAt: Date.now() + 3_600_000 });
  // Its successor is dialed early enough: twice the time of a login before the eviction margin.
  expect(session?.expiry.renewBefore).toBe((session?.token?.evictAt ?? 0) - 4_000);
  expect(session?.reset).toBeUndefined();
  expect(getEventListeners(end.signal, 'abort')).toEqual([]);
  (session?.connection as EventEmitter | undefined)?.emit('error', new Error('read ECONNRESET'));
  expect(session?.connection).toMatchObject({ hasError: true });
});

test("tedious gets the credential in its own form, and nothing else of the config's login", async () => {
  const { server, start } = attempt();
  const seen: unknown[] = [];
  const { Connection } = server.tedious;
  const tedious = {
    Connection: class extends Connection {
      constructor(configuration: ConstructorParameters<typeof Connection>[0]) {
        super(configuration);
        seen.push(configuration);
      }
    },
  };
  Object.assign(server.tedious, tedious);
  const opened = start();
  await clock.pass(server.loginMs);
  await opened;
  expect(seen).toEqual([
    {
      server: 'host',
      options: { encrypt: true },
      authentication: { type: 'token-credential', options: { credential: { getToken: expect.any(Function) } } },
    },
  ]);
});

test('a session is resettable only if the pool asks for it', async () => {
  for (const resets of [true, false]) {
    const { server, start } = attempt({ resets });
    const opened = start();
    await clock.pass(server.loginMs);
    expect((await opened).session?.reset !== undefined).toBe(resets);
  }
});

test('a refused login is classified, with the token that was sent', async () => {
  const { server, start } = attempt();
  server.refusals = [
    { number: 18456, state: 1, class: 14, message: "Login failed for user '<token-identified principal>'." },
  ];
  const opened = start();
  await clock.pass(server.loginMs);
  const { error } = await opened;
  expect(error).toBeInstanceOf(DialFailedError);
  expect(error).toMatchObject({
    name: 'DialFailedError',
    message: "Login failed for user '<token-identified principal>'.",
    failure: { kind: 'ambiguous' },
    token: { expiresOn: Date.now() + 3_600_000 },
  });
  expect((error as DialFailedError).cause).toBe((error as DialFailedError).failure.error);
  expect(server.connections.size).toBe(0);
});

test('a dial that takes too long is a failure of the server', async () => {
  const { server, start, end } = attempt();
  server.loginMs = 60_000;
  const opened = start();
  await clock.pass(1_000);
  const timeout = new DialTimeout('No login within 1000 ms.');
  expect(timeout).toMatchObject({ name: 'DialTimeout', code: 'ETIMEOUT' });
  end.abort(timeout);
  await clock.pass(0);
  const { error } = await opened;
  expect(error).toMatchObject({
    failure: { kind: 'unreachable', error: { code: 'ERR_SERVER_UNAVAILABLE', message: 'No login within 1000 ms.' } },
  });
  await clock.pass(60_000);
  expect(server.connections.size).toBe(0);
});

test('an abandoned dial rejects with the reason itself, and its connection is closed', async () => {
  const { server, start, end } = attempt();
  const opened = start();
  await clock.pass(1);
  const reason = new PoolClosedError('The pool is closed.');
  end.abort(reason);
  await clock.pass(0);
  expect((await opened).error).toBe(reason);
  await clock.pass(server.loginMs);
  expect(server.connections.size).toBe(0);
  expect((await start()).error).toBe(reason);
  expect(server.dials).toHaveLength(1);
});

test.each([new Error('not now'), 'not now', undefined])(
  'a beforeConnect that throws %o is a mistake in the config',
  async (thrown) => {
    const { server, start } = attempt({
      beforeConnect() {
        throw thrown;
      },
    });
    const opened = start();
    await clock.pass(server.loginMs);
    const { error } = await opened;
    expect(error).toBeInstanceOf(ConfigurationError);
    const said = thrown instanceof Error ? thrown.message : 'undefined';
    expect(error).toMatchObject({ message: `beforeConnect threw: ${said}` });
    expect((error as Error).cause).toBe(thrown);
    expect(server.connections.size).toBe(0);
  },
);

test.each([new Error('The "config.options.port" property must be of type number.'), undefined])(
  'an option that tedious refuses with %o is a mistake in the config',
  async (thrown) => {
    const tedious = {
      Connection: class {
        constructor() {
          throw thrown;
        }
      },
    };
    const { error } = await attempt({ tedious: tedious as never }).start();
    expect(error).toBeInstanceOf(ConfigurationError);
    expect((error as Error).message).toBe(`tedious refuses the config: ${thrown?.message}`);
  },
);

test('beforeConnect is called with the connection before anything is sent', async () => {
  const states: string[] = [];
  const { server, start } = attempt({
    beforeConnect: (connection) => void states.push((connection as unknown as { state: { name: string } }).state.name),
  });
  const opened = start();
  await clock.pass(server.loginMs);
  expect((await opened).session).toBeDefined();
  expect(states).toEqual(['Connecting']);
});

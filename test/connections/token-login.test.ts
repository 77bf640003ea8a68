import { EventEmitter } from 'node:events';
import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { LoginGuard } from '../../src/connections/login-guard.js';
import { TokenLogin } from '../../src/connections/token-login.js';
import { PoolClosedError, TokenCache } from '../../src/index.js';
import { FakeProvider } from '../tokens/fake-provider.js';

const OWN = 'https://database.windows.net/.default';
const SERVERS = 'https://database.usgovcloudapi.net/.default';

/** A login whose connection is driven by hand: its TLS handshakes, redirects and sockets. */
function login({
  strict = false,
  tls,
  scopeIsFixed = false,
}: {
  strict?: boolean;
  tls?: boolean;
  scopeIsFixed?: boolean;
} = {}) {
  const provider = new FakeProvider();
  const source = { tokens: new TokenCache(provider), scope: OWN, scopeIsFixed };
  const it = new TokenLogin(source);
  const connection = Object.assign(new EventEmitter(), {
    socket: { encrypted: tls ?? strict },
    config: { options: { encrypt: strict ? 'strict' : true } },
  });
  const guard = new LoginGuard(connection as unknown as Connection);
  it.bind(guard);
  const redirect = () => {
    connection.emit('rerouting');
    connection.socket = { encrypted: tls ?? strict };
  };
  return {
    it,
    guard,
    connection,
    provider,
    source,
    secure: () => connection.emit('secure'),
    redirect,
    ask: it.credential.getToken,
  };
}

const inTheClear = {
  code: 'ERR_ENCRYPTION_REQUIRED',
  message: expect.stringContaining('was not sent'),
  hint: expect.stringContaining('Enable encryption'),
};

test('provides a token once TLS is in place, and identifies it', async () => {
  const { it, ask, secure, provider } = login();
  await expect(ask(OWN)).rejects.toMatchObject(inTheClear);
  expect(it.failure).toMatchObject(inTheClear);
  expect(it.token).toBeUndefined();
  expect(provider.requests).toEqual([]);
  secure();
  expect(await ask(OWN)).toMatchObject({ token: 'token-1', expiresOnTimestamp: it.token?.expiresOn });
  expect(it.token?.reveal()).toBe('token-1');
});

test('asks for a new TLS handshake after a redirect, even when no token was requested before it', async () => {
  for (const asked of [true, false]) {
    const { ask, secure, redirect } = login();
    secure();
    if (asked) await ask(OWN);
    redirect();
    await expect(ask(OWN)).rejects.toMatchObject(inTheClear);
    secure();
    expect(await ask(OWN)).toMatchObject({ token: 'token-1' });
  }
});

test('does not trust an earlier handshake on another socket', async () => {
  const { ask, secure, connection } = login();
  secure();
  connection.socket = { encrypted: false };
  await expect(ask(OWN)).rejects.toMatchObject(inTheClear);
});

test('with strict encryption the socket itself has to be a TLS socket', async () => {
  const { ask, redirect } = login({ strict: true });
  expect(await ask(OWN)).toMatchObject({ token: 'token-1' });
  redirect();
  expect(await ask(OWN)).toMatchObject({ token: 'token-1' });
  await expect(login({ strict: true, tls: false }).ask(OWN)).rejects.toMatchObject(inTheClear);
});

test('a credential without its own connection gets no token', async () => {
  const source = { tokens: new TokenCache(new FakeProvider()), scope: OWN, scopeIsFixed: false };
  await expect(new TokenLogin(source).credential.getToken(OWN)).rejects.toMatchObject({ code: 'ERR_CONFIGURATION' });
});

test('a server may name its scope, which later logins request at once; a configured scope stays', async () => {
  const free = login({ strict: true });
  await free.ask(SERVERS);
  expect(free.source.scope).toBe(SERVERS);
  const listed = login({ strict: true });
  await listed.ask([SERVERS, OWN]);
  expect(listed.source.scope).toBe(SERVERS);
  const silent = login({ strict: true });
  await silent.ask([]);
  expect(silent.source.scope).toBe(OWN);
  const fixed = login({ strict: true, scopeIsFixed: true });
  await fixed.ask(SERVERS);
  expect(fixed.source.scope).toBe(OWN);
  expect([free, listed, silent, fixed].map(({ provider }) => provider.requests.map(({ scope }) => scope))).toEqual([
    [SERVERS],
    [SERVERS],
    [OWN],
    [OWN],
  ]);
});

test('a scope without a token is not remembered, but the reason is', async () => {
  const { it, ask, provider, source } = login({ strict: true });
  provider.sticky = new Error('AADSTS500011');
  await expect(ask(SERVERS)).rejects.toThrow();
  expect(source.scope).toBe(OWN);
  expect(it.failure?.message).toContain('AADSTS500011');
});

const givenUp = new PoolClosedError('The pool is closed.');

test('an abandoned dial gets no token, not even one that was requested before', async () => {
  const before = login({ strict: true });
  before.guard.cancel(givenUp);
  await expect(before.ask(OWN)).rejects.toBe(givenUp);
  expect(before.provider.requests).toEqual([]);

  const meanwhile = login({ strict: true });
  const asked = meanwhile.ask(OWN);
  meanwhile.guard.cancel(givenUp);
  await expect(asked).rejects.toBe(givenUp);
  expect(meanwhile.it.token).toBeUndefined();
  expect(meanwhile.it.failure).toBe(givenUp);
});

test('follows five redirects and refuses the sixth', () => {
  const { connection, redirect } = login();
  for (let hop = 1; hop <= 5; hop += 1) redirect();
  expect(() => connection.emit('rerouting')).toThrow(/redirected the login more than 5 times/);
});

test('keeps the token out of every later message of the server', async () => {
  const { ask, secure, connection } = login();
  secure();
  await ask(OWN);
  const message = { message: 'Bad token token-1, really: token-1' };
  connection.emit('errorMessage', message);
  expect(message.message).toBe('Bad token [hidden], really: [hidden]');
  const info = { message: 'token-1' };
  connection.emit('infoMessage', info);
  expect(info.message).toBe('[hidden]');
});

test('removes the listeners of a login when it is over', () => {
  const { connection, guard } = login();
  expect(connection.listenerCount('secure')).toBe(1);
  guard.end();
  for (const event of ['secure', 'rerouting', 'retry']) expect(connection.listenerCount(event)).toBe(0);
});

test.each([
  'https://vault.azure.net/.default',
  'https://graph.microsoft.com/.default',
  'https://x.database.windows.net.evil.com/.default',
  `https://database.${'a'.repeat(400)}/.default`,
  'not a URL',
])('does not ask for a token for %s, whatever the server says', async (scope) => {
  const { ask, provider } = login({ strict: true });
  await expect(ask(scope)).rejects.toMatchObject({
    code: 'ERR_CONFIGURATION',
    hint: expect.stringContaining("'scope'"),
  });
  expect(provider.requests).toEqual([]);
});

test('a connection that has logged in keeps a credential that hands out no token', async () => {
  const { it, secure, ask, provider, connection } = login();
  const config = Object.assign(connection.config, { authentication: { options: { credential: it.credential } } });
  secure();
  await ask(OWN);
  it.end(connection as unknown as Connection);
  const { credential: left } = config.authentication.options;
  expect(left).not.toBe(it.credential);
  for (const credential of [left, it.credential]) {
    await expect(credential.getToken(OWN)).rejects.toMatchObject({ code: 'ERR_CONFIGURATION' });
  }
  expect(it.token?.reveal()).toBe('token-1');
  expect(provider.requests).toHaveLength(1);
});

test('login errors say what was not sent, and what to do', async () => {
  const { ask, secure } = login();
  await expect(ask(OWN)).rejects.toMatchObject({
    message: 'The server does not encrypt this connection; the access token was not sent.',
  });
  secure();
  await expect(ask('https://vault.azure.net/.default')).rejects.toMatchObject({
    code: 'ERR_CONFIGURATION',
    message: 'The server asked for an access token for something other than SQL; none was sent.',
    hint: "Check that 'server' is the right one. If it is, name the resource with the 'scope' setting.",
  });
  const unbound = new TokenLogin({ tokens: new TokenCache(new FakeProvider()), scope: OWN, scopeIsFixed: false });
  await expect(unbound.credential.getToken(OWN)).rejects.toMatchObject({
    code: 'ERR_CONFIGURATION',
    message: 'The credential of a connection was used by another one.',
    hint: 'Each connection needs its own credential: pass the configuration itself, not a copy.',
  });
});

test.each([
  ...['xhttps://database.windows.net/.default', 'https://database.windows.net/.defaults', 'https://database/.default'],
  ...[
    'https://database.windows.net.default',
    'https://database.windows.net///.default',
    'https://database.a/b/.default',
  ],
  `https://database.${'a'.repeat(81 - 'https://database./.default'.length)}/.default`,
])('a server does not get a token for %s', async (scope) => {
  const { ask, secure, provider } = login();
  secure();
  await expect(ask(scope)).rejects.toMatchObject({ code: 'ERR_CONFIGURATION' });
  expect(provider.requests).toEqual([]);
});

test.each([
  ...['https://database.windows.net//.default', 'HTTPS://DATABASE.CHINACLOUDAPI.CN/.default'],
  `https://database.${'a'.repeat(80 - 'https://database./.default'.length)}/.default`,
])('a server may name %s', async (scope) => {
  const { ask, secure, provider } = login();
  secure();
  await ask(scope);
  expect(provider.requests.map((request) => request.scope)).toEqual([scope]);
});

test("the end of a login does not change the application's credential, or a connection without a config", () => {
  const { it } = login();
  const credential = { getToken: async () => null };
  const own = { config: { authentication: { options: { credential } } } };
  for (const connection of [own, { config: { authentication: {} } }, { config: {} }, {}]) {
    const before = JSON.stringify(connection);
    it.end(connection as never);
    expect(JSON.stringify(connection)).toBe(before);
  }
  expect(own.config.authentication.options.credential).toBe(credential);
});

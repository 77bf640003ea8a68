import { EventEmitter } from 'node:events';
import type { Connection } from 'tedious';
import { expect, test } from 'vitest';
import { TokenLogin } from '../../src/connections/token-login.js';
import { TokenCache } from '../../src/index.js';
import { FakeProvider } from '../tokens/fake-provider.js';

const OWN = 'https://database.windows.net/.default';
const SERVERS = 'https://database.usgovcloudapi.net/.default';

/** A login, and the TLS handshakes of its connection. */
function login({ strict = false, scopeIsFixed = false } = {}) {
  const provider = new FakeProvider();
  const source = { tokens: new TokenCache(provider), scope: OWN, scopeIsFixed };
  const it = new TokenLogin(source, strict);
  const connection = new EventEmitter();
  it.attach(connection as unknown as Connection);
  return { it, provider, source, secure: () => connection.emit('secure'), ask: it.credential.getToken };
}

const inTheClear = {
  code: 'ERR_ENCRYPTION_REQUIRED',
  message: expect.stringContaining('was not sent'),
  hint: expect.stringContaining('Enable encryption'),
};

test('a token is handed over once for each TLS handshake, and named', async () => {
  const { it, ask, secure, provider } = login();
  await expect(ask(OWN)).rejects.toMatchObject(inTheClear);
  expect(it.failure).toMatchObject(inTheClear);
  expect(it.token).toBeUndefined();
  expect(provider.requests).toEqual([]);
  secure();
  expect(await ask(OWN)).toMatchObject({ token: 'token-1', expiresOnTimestamp: it.token?.expiresOn });
  expect(it.token?.reveal()).toBe('token-1');
  // A redirect, to a server that does not encrypt.
  await expect(ask(OWN)).rejects.toMatchObject(inTheClear);
  secure();
  expect(await ask(OWN)).toMatchObject({ token: 'token-1' });
  expect(provider.requests).toHaveLength(1);
});

test('with strict encryption TLS comes before everything', async () => {
  const { ask } = login({ strict: true });
  expect(await ask(OWN)).toMatchObject({ token: 'token-1' });
  expect(await ask(OWN)).toMatchObject({ token: 'token-1' });
});

test('a server may name its scope, which later logins ask for at once; a scope of our own stays', async () => {
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

test('a scope that has no token is not remembered, and why is kept', async () => {
  const { it, ask, provider, source } = login({ strict: true });
  provider.sticky = new Error('AADSTS500011');
  await expect(ask(SERVERS)).rejects.toThrow();
  expect(source.scope).toBe(OWN);
  expect(it.failure?.message).toContain('AADSTS500011');
});

const givenUp = { code: 'ERR_POOL_CLOSED', message: 'The connection attempt was given up before its login.' };

test('a dial that was given up gets no token, not even one that was under way', async () => {
  const before = login({ strict: true });
  before.it.cancel();
  await expect(before.ask(OWN)).rejects.toMatchObject(givenUp);
  expect(before.provider.requests).toEqual([]);

  const meanwhile = login({ strict: true });
  const asked = meanwhile.ask(OWN);
  meanwhile.it.cancel();
  await expect(asked).rejects.toMatchObject(givenUp);
  expect(meanwhile.it.token).toBeUndefined();
  expect(meanwhile.it.failure).toMatchObject(givenUp);
});

test('nothing of a login that is over listens to its connection', () => {
  const connection = new EventEmitter();
  const { it } = login();
  const detach = it.attach(connection as unknown as Connection);
  expect(connection.listenerCount('secure')).toBe(1);
  detach();
  expect(connection.listenerCount('secure')).toBe(0);
});

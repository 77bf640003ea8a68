import { expect, test } from 'vitest';
import { type CredentialInput, createCredential, createTokenPools, TokenCache } from '../../src/index.js';

const application = { tenantId: 'contoso.onmicrosoft.com', clientId: 'web-api', clientSecret: 'secret' };
const config = { server: 'db.example.com', database: 'orders' };

class Application {
  get tenantId() {
    return 'contoso.onmicrosoft.com';
  }
  get clientId() {
    return 'web-api';
  }
  get clientSecret() {
    return 'secret';
  }
}

class Config {
  get server() {
    return 'db.example.com';
  }
  get authentication() {
    return application;
  }
}

test.each([
  ['inherited', Object.create(application)],
  ['inherited in part', Object.assign(Object.create(application), { clientId: 'web-api' })],
  ['getters of a class', new Application()],
])('options of a credential that are %s work as own ones do', (_, options) => {
  const { principal } = createCredential(options as CredentialInput);
  expect(principal).toMatchObject({ method: 'service-principal-secret', id: 'web-api' });
});

test('an inherited option that is undefined is refused like an own one', () => {
  const options = Object.create({ ...application, userAssertion: undefined });
  expect(() => createCredential(options)).toThrow("'userAssertion' is undefined.");
});

test.each([
  ['inherited', Object.create({ ...config, authentication: application })],
  ['getters of a class', new Config()],
])('a config of many pools whose authentication is %s is used', async (_, given) => {
  await using pools = createTokenPools(given);
  expect(() => pools.for({ userAssertion: 'opaque', key: 'ada' })).not.toThrow();
});

test('pools.for() refuses an assertion together with a credential', async () => {
  await using pools = createTokenPools({ ...config, authentication: application });
  for (const authentication of [{}, application]) {
    const both = { userAssertion: 'opaque', key: 'ada', authentication };
    expect(() => pools.for(both as never)).toThrow("pools.for() takes 'userAssertion' or 'authentication', not both.");
  }
});

test('a getToken that returns no promise is accepted', async () => {
  const getToken = () => ({ token: 'opaque', expiresOnTimestamp: Date.now() + 3_600_000 });
  const tokens = new TokenCache(createCredential({ getToken } as never));
  expect((await tokens.get()).reveal()).toBe('opaque');
});

test.each([undefined, null, 'eyJ', 5, true])('a getToken that returns %j is reported as such', async (answer) => {
  const tokens = new TokenCache(createCredential({ getToken: () => answer } as never));
  await expect(tokens.get()).rejects.toMatchObject({
    code: 'ERR_CREDENTIAL_UNAVAILABLE',
    message: 'The credential returned no token.',
    hint: expect.stringContaining('{ token, expiresOnTimestamp }'),
  });
});

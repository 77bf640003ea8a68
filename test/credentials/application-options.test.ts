import { describe, expect, test } from 'vitest';
import { identityOf } from '../../src/credentials/identity.js';
import { keyedIdentity } from '../../src/identities/identity-key.js';
import { createCredential, createTokenPools, OnBehalfOfTokens } from '../../src/index.js';

const application = { tenantId: 'contoso.example', clientId: 'app', clientSecret: 'a-secret-of-ours' };
const assertion = `e30.${Buffer.from('{"tid":"t","oid":"ada"}').toString('base64url')}.s`;

/** Each place that takes the application which calls on behalf of its users. */
const takers: Record<string, (application: never) => unknown> = {
  'createTokenPools()': (authentication) => createTokenPools({ server: 'localhost', authentication }),
  'new OnBehalfOfTokens()': (given) => new OnBehalfOfTokens(given),
  'createCredential()': (given: object) =>
    createCredential(Object.assign(Object.create(given), { userAssertion: assertion })),
};

const mistakes: Record<string, [given: unknown, message: RegExp]> = {
  'the name that @azure/identity has for it': [
    { ...application, authorityHost: 'https://login.example' },
    /^Unknown option 'authorityHost' for credential method 'on-behalf-of'/,
  ],
  'a misspelt authority': [
    { ...application, Authority: 'https://login.example' },
    /^Unknown option 'Authority'.*authority/,
  ],
  'a misspelt secret': [{ ...application, clientSecrett: 'x' }, /^Unknown option 'clientSecrett'.*clientSecret/],
  'an inherited mistake': [Object.create({ ...application, autority: 'x' }), /^Unknown option 'autority'.*authority/],
  'a tenant without a value': [{ ...application, tenantId: undefined }, /^'tenantId' is (undefined|missing)/],
  'an application without its id': [{ tenantId: 't', clientSecret: 's' }, /^'clientId' is missing/],
  'an authority in the clear': [{ ...application, authority: 'http://login.example' }, /must use https/],
  'the credential method of another kind': [
    { ...application, method: 'azure-cli' },
    /^Unknown option '\w+' for credential/,
  ],
};

describe.each(Object.keys(takers))('%s', (taker) => {
  const take = takers[taker] as (given: unknown) => unknown;

  test.each(Object.keys(mistakes))('refuses %s', (mistake) => {
    const [given, message] = mistakes[mistake] as [unknown, RegExp];
    let error: unknown;
    try {
      take(given);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'ERR_CONFIGURATION', message: expect.stringMatching(message) });
    expect(String(error)).not.toContain(application.clientSecret);
  });

  test.each([
    ['plain', application],
    ['frozen', Object.freeze({ ...application })],
    ['inherited', Object.create(application)],
    ['with its method', { ...application, method: 'on-behalf-of' }],
  ])('takes an application that is %s', (_, given) => {
    expect(take(given)).toBeDefined();
  });
});

test.each(['createTokenPools()', 'new OnBehalfOfTokens()'])(
  '%s refuses what does not have the options of an application',
  (taker) => {
    for (const wrong of [null, 'app', 1, { getToken: async () => null }]) {
      expect(() => takers[taker]?.(wrong as never)).toThrow(expect.objectContaining({ code: 'ERR_CONFIGURATION' }));
    }
  },
);

test('the cloud of the server determines the authority, as that of the users', () => {
  const server = 'contoso.database.chinacloudapi.cn';
  const idOf = (context: object): string =>
    identityOf(keyedIdentity({ userAssertion: assertion }, { authentication: application, ...context }).credential());
  const authority = 'https://login.partner.microsoftonline.cn';
  expect(idOf({ server })).toBe(idOf({ authentication: { ...application, authority } }));
  expect(idOf({ server })).not.toBe(idOf({}));
});

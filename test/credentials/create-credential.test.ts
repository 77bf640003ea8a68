import type { TokenCredential as AzureTokenCredential } from '@azure/core-auth';
import { describe, expect, test } from 'vitest';
import * as registry from '../../src/credentials/methods/registry.js';
import {
  ConfigurationError,
  createCredential,
  createTokenPool,
  sharedTokenCache,
  type TokenCredential,
} from '../../src/index.js';
import { printed } from './printed.js';

const tenantId = '72f988bf-86f1-41af-91ab-2d7cd011db47';
const clientId = '11111111-2222-4333-8444-555555555555';
const clientSecret = 'a-secret-to-hide';
const DAMAGED = '-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----';

function refusal(make: () => unknown): ConfigurationError {
  try {
    make();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(printed(error)).not.toContain(clientSecret);
    return error as ConfigurationError;
  }
  throw new Error('nothing was refused');
}

describe('invalid input is rejected with the option and how to fix it', () => {
  test.each<[string, unknown, RegExp]>([
    ['missing tenant', { clientId, clientSecret }, /'tenantId' is missing.*Directory/],
    ['missing client', { tenantId, clientSecret }, /'clientId' is missing.*Application/],
    ['empty secret', { tenantId, clientId, clientSecret: '' }, /'clientSecret' is empty.*environment variable/],
    ['secret of a wrong type', { tenantId, clientId, clientSecret: 42 }, /'clientSecret' must be a string/],
    ['unknown key', { tenantId, clientID: clientId, clientSecret }, /'clientID'.*clientId/],
    ['unknown method', { method: 'magic' }, /Unknown credential method\. Methods:.*service-principal-secret/],
    ['prototype method', { method: 'constructor' }, /Unknown credential method/],
    ['nothing that implies a method', { tenantId }, /'method'/],
    ['two methods at once', { tenantId, clientId, clientSecret, token: 'x' }, /only one of 'clientSecret' and 'token'/],
    [
      'secret and certificate',
      { tenantId, clientId, clientSecret, certificate: 'x' },
      /'clientSecret' and 'certificate'.*remove/,
    ],
    [
      'PEM that is damaged',
      { tenantId, clientId, certificate: DAMAGED },
      /'certificate' has a certificate.*line breaks/,
    ],
    ['no PEM', { tenantId, clientId, certificate: 'hello' }, /'certificate' is neither PEM.*Expected: PEM/],
    ['tenant with a slash', { tenantId: 'a/b', clientId, clientSecret }, /'tenantId' must be/],
    ['http authority elsewhere', { tenantId, clientId, clientSecret, authority: 'http://login.example' }, /https/],
    ['no URL', { tenantId, clientId, clientSecret, authority: '::' }, /'authority' must be a URL/],
    [
      'two tenants',
      { tenantId, clientId, clientSecret, authority: 'https://login.microsoftonline.com/other' },
      /differ/,
    ],
    ['null', null, /options object/],
    ['a number', 5, /options object/],
    ['a string', 'hello', /string/],
    ['no getToken', { credential: {} }, /getToken/],
  ])('%s', (_, input, message) => {
    const error = refusal(() => createCredential(input as never));
    expect(`${error.message} ${error.hint ?? ''}`).toMatch(message);
  });
});

test('equal options are the same identity; another secret is a different one', () => {
  const make = (secret: string) => sharedTokenCache(createCredential({ tenantId, clientId, clientSecret: secret }));
  expect(make('one-secret')).toBe(make('one-secret'));
  expect(make('one-secret')).not.toBe(make('two-secret'));
});

test('works after its config is cloned', () => {
  const credential = createCredential({ tenantId, clientId, clientSecret });
  expect(sharedTokenCache({ ...credential })).toBe(sharedTokenCache(credential));
});

test('accepts any TokenCredential, directly or as `credential`, as one identity', async () => {
  const own: TokenCredential = {
    async getToken() {
      return { token: 'opaque', expiresOnTimestamp: Date.now() + 3_600_000 };
    },
  };
  const tokens = sharedTokenCache(createCredential(own));
  expect(tokens).toBe(sharedTokenCache(createCredential({ credential: own })));
  expect(tokens).toBe(sharedTokenCache(own));
  expect((await tokens.getToken()).token).toBe('opaque');
});

test('is a TokenCredential for clients of Azure services, with a signal of their own make', async () => {
  let abort: (event: unknown) => void = () => {};
  const signal = {
    aborted: false,
    addEventListener(_: 'abort', listener: (event: unknown) => void) {
      abort = listener;
    },
    removeEventListener() {},
  };
  const credential: AzureTokenCredential = createCredential(() => new Promise<string>(() => {}));
  const waiting = credential.getToken('https://vault.azure.net/.default', { abortSignal: signal });
  abort(undefined);
  await expect(waiting).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  const aborted = credential.getToken('https://vault.azure.net/.default', {
    abortSignal: { ...signal, aborted: true },
  });
  await expect(aborted).rejects.toMatchObject({ code: 'ERR_ABORTED' });
});

test('the tenant can be part of the authority', () => {
  const authority = `https://login.microsoftonline.us/${tenantId}/`;
  expect(createCredential({ clientId, clientSecret, authority }).principal.tenantId).toBe(tenantId);
});

test.each(['userAssertion', 'agentId', 'refreshToken', 'username', 'password', 'token', 'credential'])(
  'without the value of %s the application itself does not log in',
  (name) => {
    const application = {
      tenantId: 'contoso.example',
      clientId: '11111111-2222-3333-4444-555555555555',
      clientSecret: 'x',
    };
    expect(() => createCredential({ ...application, [name]: undefined } as never)).toThrow(`'${name}' is undefined.`);
    expect(() => createCredential(application)).not.toThrow();
    // The method is named, so nothing is left open.
    expect(() =>
      createCredential({ ...application, method: 'service-principal-secret', [name]: undefined } as never),
    ).not.toThrow();
  },
);

describe('an option that selects who logs in', () => {
  /** What else a method needs. */
  const NEEDED: Record<string, object> = {
    'agent-identity': { tenantId, clientId, clientSecret, agentId: clientId },
    'refresh-token': { refreshToken: 'a-refresh-token' },
    'workload-identity': { tenantId, tokenFilePath: '/a/token' },
  };
  const cases = Object.values(registry).flatMap(({ name, selectedBy = [] }) =>
    selectedBy.flatMap((option) =>
      [undefined, null, ''].map((value) => [name, option, value === '' ? 'empty' : String(value), value] as const),
    ),
  );

  test.each(cases)('%s: %s that is %s is refused', (method, option, what, value) => {
    const error = refusal(() => createCredential({ ...NEEDED[method], method, [option]: value } as never));
    expect(error.message).toBe(`'${option}' is ${what}.`);
    expect(error.hint).toMatch(/environment variable that is not set/);
  });

  test('may be left out, and one of several is enough', () => {
    for (const { name, selectedBy } of Object.values(registry)) {
      if (selectedBy === undefined) continue;
      // Its application has no default.
      if (name === 'workload-identity') continue;
      expect(() => createCredential({ ...NEEDED[name], method: name } as never), name).not.toThrow();
    }
    const chosen = { method: 'managed-identity', clientId, objectId: undefined, resourceId: undefined };
    expect(createCredential(chosen as never).principal.id).toBe(clientId);
  });

  test.each([undefined, null, ''])('in the choice of a federated identity is refused when it is %j', (value) => {
    const from = { managedIdentity: { clientId: value } };
    const error = refusal(() => createCredential({ method: 'federated', tenantId, clientId, from } as never));
    expect(error.message).toMatch(/^'from.managedIdentity.clientId' is /);
  });

  test('is refused inherited, and in the options of a pool', () => {
    class FromEnvironment {
      method = 'managed-identity';
      get clientId() {
        return process.env.NOT_SET_HERE;
      }
    }
    expect(refusal(() => createCredential(new FromEnvironment() as never)).message).toBe("'clientId' is undefined.");
    const authentication = { method: 'managed-identity', clientId: undefined } as never;
    expect(refusal(() => createTokenPool({ server: 'localhost', authentication })).message).toMatch(/'clientId'/);
  });

  test("of tedious's own types is refused as well: mssql leaves out what has no value", () => {
    const own = { type: 'azure-active-directory-msi-app-service', options: { clientId: undefined } };
    expect(refusal(() => createCredential(own)).message).toBe("'clientId' is undefined.");
  });
});

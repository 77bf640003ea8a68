import { inspect } from 'node:util';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ConfigurationError, createCredential } from '../../../src/index.js';

const tenantId = '72f988bf-86f1-41af-91ab-2d7cd011db47';
const clientId = '11111111-2222-4333-8444-555555555555';
const SECRET = 'hunter2-Secret';

afterEach(() => vi.unstubAllEnvs());

function refusal(input: unknown): string {
  try {
    createCredential(input as never);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/hunter2|Secret-part/);
    const { message, hint } = error as ConfigurationError;
    return `${message} ${hint ?? ''}`;
  }
  throw new Error('it was accepted');
}

describe('a misspelled option is rejected with the correct name', () => {
  test.each([
    [{ tenantId, clientID: clientId, clientSecret: SECRET }, /Unknown option 'clientID'.*Did you mean 'clientId'/],
    [{ tenantId, client_id: clientId, clientSecret: SECRET }, /Did you mean 'clientId'/],
    [{ tenantId, clientId, clientSecrt: SECRET }, /'clientSecrt'.*Did you mean 'clientSecret'/],
    [{ tenantId, clientId, client_secret: SECRET }, /Did you mean 'clientSecret'/],
    [
      { method: 'managed-identity', clientID: clientId },
      /'clientID' for credential method 'managed-identity'.*'clientId'/,
    ],
    [{ method: 'managed_identity' }, /Unknown credential method. Did you mean 'managed-identity'/],
    [{ method: 'chain', members: ['azurecli'] }, /Did you mean 'azure-cli'/],
    [{ type: 'azure-active-directory-msi-vm', options: { clientID: clientId } }, /Did you mean 'clientId'/],
    [{ type: 'azure-active-directory-msi-vm', options: { client_id: clientId } }, /Did you mean 'clientId'/],
    [{ type: 'azure-active-directory-defualt' }, /Did you mean 'azure-active-directory-default'/],
  ])('%j', (input, message) => {
    expect(refusal(input)).toMatch(message);
  });
});

describe('an option without a value is reported', () => {
  test.each([
    [{ type: 'azure-active-directory-msi-vm', options: { clientId: '' } }, /'clientId'.*is empty/],
    [{ type: 'azure-active-directory-default', options: { clientId: '' } }, /'clientId'.*is empty/],
    [{ method: 'managed-identity', clientId: '' }, /'clientId' is empty/],
    [{ method: 'chain', tenantId: '' }, /'tenantId' is empty/],
    [{ tenantId: undefined, clientId: undefined, clientSecret: undefined }, /'clientSecret'.* are undefined/],
    [{ tenantId, clientId, clientSecret: undefined }, /'clientSecret' is undefined.*environment variable/],
  ])('%j', (input, message) => {
    expect(refusal(input)).toMatch(message);
  });

  test("mssql's own additions to tedious's options are accepted", () => {
    const options = { userName: '', password: '', domain: undefined, clientSecret: undefined, token: undefined };
    expect(() => createCredential({ type: 'azure-active-directory-msi-vm', options })).not.toThrow();
  });
});

describe('an error quotes nothing that could be a secret', () => {
  test.each([
    ['a URL', `mssql://app:${SECRET}@host/db`, /URL/],
    ['a key that is part of a password', `RunAs=App;AppKey=x;${SECRET}=y`, /position 19/],
    ['a repeated key that is part of a password', `RunAs=App;${SECRET}=y;${SECRET}=z`, /position 10/],
    ['an unclosed quote', `RunAs=App;AppKey="${SECRET}`, /'appkey'/],
    ['text after a quote', `RunAs=App;AppKey="x"${SECRET};AppId=x`, /'appkey'/],
    ['a text without a key', `RunAs=App;${SECRET}`, /position 10/],
    ['a secret alone', SECRET, /neither an access token/],
    ['a secret as the method', { method: SECRET }, /Unknown credential method/],
    ['a secret as a chain member', { method: 'chain', members: [SECRET] }, /'members'/],
    ['a secret as the type', { type: SECRET }, /does not use tokens/],
    ['a secret as the name of an option', { method: 'chain', 'hunter2-Secret!': 1 }, /Unknown option/],
    ['a secret as the authority', { tenantId, clientId, clientSecret: 'x', authority: `::${SECRET}` }, /'authority'/],
    ['a secret as the tenant', { tenantId: `${SECRET}/`, clientId, clientSecret: 'x' }, /'tenantId'/],
    ['a secret as the client', { tenantId, clientId: `${SECRET} x`, clientSecret: 'x' }, /'clientId'/],
  ])('%s', (_, input, message) => {
    expect(refusal(input)).toMatch(message);
  });

  test('a token instead of the path of its file', async () => {
    const credential = createCredential({ tenantId, clientId, method: 'workload-identity', tokenFilePath: SECRET });
    const error = await credential.getToken('https://database.windows.net/.default').catch((thrown) => thrown);
    expect(error.message).toContain("'tokenFilePath'");
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('hunter2');
  });
});

test('a deep copy of a credential, which has lost its getToken, is rejected with the reason', () => {
  class Custom {
    async getToken() {
      return { token: 'x', expiresOnTimestamp: 0 };
    }
  }
  const credential = JSON.parse(JSON.stringify(new Custom()));
  expect(refusal({ credential })).toMatch(/getToken.*deep copy/);
  expect(refusal({ type: 'token-credential', options: { credential } })).toMatch(/getToken.*deep copy/);
});

test.each(['AppId=a Passwort {hunter2}', 'AppId=a AppKey=hunter2', 'AppId=a;TenantId=t,AppKey=hunter2'])(
  '%s: an id with extra text is rejected without being repeated',
  (text) => {
    expect(() => createCredential(`RunAs=App;${text}`)).toThrow(
      /^Connection string: '(AppId|TenantId)' is not an id\.$/,
    );
  },
);

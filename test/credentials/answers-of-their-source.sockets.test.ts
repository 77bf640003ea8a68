import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type CredentialOptions, createCredential, TokenCache, TokenPoolError } from '../../src/index.js';
import { clearEnvironment } from '../support/clear-environment.js';
import { type HttpServer, httpServer } from '../support/http-server.js';
import { FakeTools } from './fake-tools.js';
import { printed } from './printed.js';

const tenantId = '72f988bf-86f1-41af-91ab-2d7cd011db47';
const application = { tenantId, clientId: '11111111-2222-4333-8444-555555555555' };
const OPAQUE = 'an-opaque-token-of-this-test';
const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;

function jwt(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'RS256' })}.${part(claims)}.c2lnbmF0dXJl`;
}

let server: HttpServer;
let body: object;
let tools: FakeTools;

beforeAll(async () => {
  server = await httpServer(() => ({ status: 200, body }));
});
beforeEach(() => {
  tools = new FakeTools();
  clearEnvironment();
});
afterEach(() => tools.remove());
afterAll(() => server[Symbol.asyncDispose]());

/** The parts of an answer, by the names that most sources use. */
interface Answer {
  token: string;
  /** Epoch seconds, or anything else. */
  expiresOn?: unknown;
  type?: string;
}

interface Source {
  /** The beginning of each message. */
  name: string;
  hint: RegExp;
  credential(): CredentialOptions;
  answer(parts: Answer): void;
}

const platform = (variables: Record<string, string>): CredentialOptions => {
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
  return { method: 'managed-identity', retryTimeoutMs: 0 };
};
const endpoint = {
  name: 'The managed identity endpoint',
  hint: /'access_token', and 'expires_on' \(epoch seconds\) or 'expires_in'/,
  answer({ token, expiresOn, type }: Answer) {
    body = {
      access_token: token,
      ...(expiresOn === undefined ? {} : { expires_on: String(expiresOn) }),
      ...(type === undefined ? {} : { token_type: type }),
    };
  },
};
const provider = {
  name: 'The identity provider',
  hint: /'expires_in'/,
  answer({ token, expiresOn, type = 'Bearer' }: Answer) {
    const expires_in = typeof expiresOn === 'number' ? expiresOn - inSeconds(0) : expiresOn;
    body = { access_token: token, token_type: type, ...(expiresOn === undefined ? {} : { expires_in }) };
  },
};
const tool = (name: string, command: string, write: (parts: Answer) => object) => ({
  name,
  hint: new RegExp(`run it manually: ${command}`),
  answer(parts: Answer) {
    tools.install(command, `cat <<'END'\n${JSON.stringify(write(parts))}\nEND`);
  },
});

const SOURCES: Record<string, Source> = {
  'App Service': {
    ...endpoint,
    credential: () => platform({ IDENTITY_ENDPOINT: `${server.url}/msi`, IDENTITY_HEADER: 'a-header' }),
  },
  'the metadata service': {
    ...endpoint,
    credential: () => platform({ AZURE_POD_IDENTITY_AUTHORITY_HOST: server.url }),
  },
  'Machine Learning': {
    ...endpoint,
    credential: () => platform({ MSI_ENDPOINT: `${server.url}/msi`, MSI_SECRET: 'a-secret' }),
  },
  'Cloud Shell': { ...endpoint, credential: () => platform({ MSI_ENDPOINT: `${server.url}/msi` }) },
  'Azure Arc': {
    ...endpoint,
    credential: () => platform({ IDENTITY_ENDPOINT: `${server.url}/arc`, IMDS_ENDPOINT: server.url }),
  },
  'an application with a secret': {
    ...provider,
    credential: () => ({ ...application, clientSecret: 'the-secret', authority: server.url }),
  },
  'a person with a password': {
    ...provider,
    credential: () => ({ tenantId, authority: server.url, username: 'ann', password: 'the-password' }),
  },
  'Azure CLI': {
    ...tool('Azure CLI', 'az', ({ token, expiresOn }) => ({ accessToken: token, expires_on: expiresOn })),
    credential: () => ({ method: 'azure-cli' }),
  },
  'Azure Developer CLI': {
    ...tool('Azure Developer CLI', 'azd', ({ token, expiresOn }) => ({
      token,
      expiresOn: typeof expiresOn === 'number' ? new Date(expiresOn * 1000).toISOString() : expiresOn,
    })),
    credential: () => ({ method: 'azure-developer-cli' }),
  },
  'Azure PowerShell': {
    ...tool('Azure PowerShell', 'pwsh', ({ token, expiresOn }) => ({ token, expires: expiresOn })),
    credential: () => ({ method: 'azure-powershell' }),
  },
};

/** What only the author of a credential object could act on. */
const OF_AN_OBJECT = /expiresOnTimestamp|getToken|The credential|multiply/;

describe.each(Object.entries(SOURCES))('an answer of %s', (_, { name, hint, credential, answer }) => {
  const ask = (parts: Answer) => {
    const made = createCredential(credential());
    answer(parts);
    return new TokenCache(made).get();
  };
  const failure = async (parts: Answer): Promise<TokenPoolError> => {
    const error: unknown = await ask(parts).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TokenPoolError);
    const { message, hint: advice } = error as TokenPoolError;
    expect(message.startsWith(`${name} returned `)).toBe(true);
    expect(advice).toMatch(hint);
    expect(`${message} ${advice}`).not.toMatch(OF_AN_OBJECT);
    expect(printed(error)).not.toContain(parts.token.slice(0, 20));
    return error as TokenPoolError;
  };

  test('without an expiry lives as long as its token says', async () => {
    const token = await ask({ token: jwt({ exp: inSeconds(1_800) }) });
    expect(Math.abs(token.expiresOn - Date.now() - 1_800_000)).toBeLessThan(60_000);
  });

  test.each([undefined, 'soon'])('with the expiry %j and an opaque token has none', async (expiresOn) => {
    const { message, code } = await failure({ token: OPAQUE, expiresOn });
    expect([message, code]).toEqual([
      expect.stringMatching(/ returned a token without its expiry\b/),
      'ERR_TOKEN_UNAVAILABLE',
    ]);
  });

  test('that has expired says when, and who gave it', async () => {
    const { message, code } = await failure({ token: OPAQUE, expiresOn: 1 });
    expect(code).toBe('ERR_TOKEN_EXPIRED');
    expect(message).toMatch(/ returned a token that expired at 19(70|69)-/);
  });

  test('with a token that no header can carry is refused', async () => {
    const { message } = await failure({ token: 'a token of this test\r\nX: 1', expiresOn: inSeconds(3_600) });
    expect(message).toContain('a token with a character that a token cannot contain');
  });
});

test.each([
  ['pop', "of type 'pop'"],
  ['a-secret-type', 'of an unknown type'],
])("a token of the type '%s' is refused by the name of the endpoint", async (type, what) => {
  const { name, credential, answer } = SOURCES['App Service'] as Source;
  const made = createCredential(credential());
  answer({ token: OPAQUE, expiresOn: inSeconds(3_600), type });
  const error: TokenPoolError = await new TokenCache(made).get().catch((thrown) => thrown);
  expect(error.message).toBe(`${name} returned a token ${what}.`);
  expect(error.hint).toMatch(/^SQL Server accepts bearer tokens only\. /);
  expect(printed(error)).not.toContain('a-secret-type');
});

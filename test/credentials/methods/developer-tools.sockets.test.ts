import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createCredential, type DeveloperToolOptions, TokenCache } from '../../../src/index.js';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';
import { FakeTools } from '../fake-tools.js';
import { printed } from '../printed.js';

const SCOPE = 'https://database.windows.net/.default';
let entra: EntraEmulator;
let tools: FakeTools;

beforeAll(async () => {
  entra = await startEntraEmulator();
});
beforeEach(() => {
  tools = new FakeTools();
});
afterEach(() => tools.remove());
afterAll(() => entra.close());

const inAnHour = () => Math.floor(Date.now() / 1000) + 3600;

/** What each tool prints for a token. */
const PRINTS: Record<string, { command: string; print: (token: string, seconds: number) => string }> = {
  'azure-cli': {
    command: 'az',
    print: (accessToken, seconds) =>
      JSON.stringify(
        { accessToken, expiresOn: '2000-01-01 00:00:00.000000', expires_on: seconds, tokenType: 'Bearer' },
        null,
        2,
      ),
  },
  'azure-developer-cli': {
    command: 'azd',
    print: (token, seconds) => JSON.stringify({ token, expiresOn: new Date(seconds * 1000).toISOString() }),
  },
  'azure-powershell': {
    command: 'pwsh',
    print: (token, expires) => `WARNING: something to read first\n${JSON.stringify({ token, expires })}`,
  },
};
const METHODS = Object.keys(PRINTS) as DeveloperToolOptions['method'][];

describe.each(METHODS)('%s', (method) => {
  const { command, print } = PRINTS[method] as (typeof PRINTS)[string];

  test('returns the token of the signed-in account; a hundred callers run the tool once', async () => {
    const token = entra.issueToken({ principal: entra.user });
    // Before the token's own end, which counts if it is earlier.
    const seconds = inAnHour() - 600;
    tools.install(command, `cat <<'END'\n${print(token, seconds)}\nEND`);
    const tokens = new TokenCache(createCredential({ method }));
    const held = await Promise.all(Array.from({ length: 100 }, () => tokens.get()));
    expect(held[99]?.reveal()).toBe(token);
    expect(held[99]?.expiresOn).toBe(seconds * 1000);
    expect(tools.runs(command)).toHaveLength(1);
  });

  test('runs without a limit if timeoutMs is Infinity', async () => {
    tools.install(command, `sleep 0.1; cat <<'END'\n${print(entra.issueToken(), inAnHour())}\nEND`);
    const credential = createCredential({ method, timeoutMs: Number.POSITIVE_INFINITY });
    expect((await credential.getToken(SCOPE))?.token).toBeTruthy();
  });

  test('that is not installed is unavailable, and the error says where to get it', async () => {
    await expect(createCredential({ method }).getToken(SCOPE)).rejects.toMatchObject({
      code: 'ERR_CREDENTIAL_UNAVAILABLE',
      hint: expect.stringContaining('https://learn.microsoft.com/'),
    });
  });

  test('that hangs is stopped', async () => {
    tools.install(command, 'sleep 60; echo never');
    const started = performance.now();
    const credential = createCredential({ method, timeoutMs: 200 });
    await expect(credential.getToken(SCOPE)).rejects.toMatchObject({ code: 'ERR_TOKEN_TIMEOUT' });
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  test('that prints garbage causes an error that does not repeat it', async () => {
    tools.install(command, `echo 'half a token eyJhbGciOi' ; echo '{"accessTok'`);
    const error = await createCredential({ method })
      .getToken(SCOPE)
      .catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_TOKEN_UNAVAILABLE', message: expect.stringContaining('no token') });
    expect(printed(error)).not.toContain('eyJhbGciOi');
  });

  test('that fails is reported without its secrets', async () => {
    tools.install(command, `echo 'request failed: client_secret=Hunter2Hunter2' >&2; exit 3`);
    const error = await createCredential({ method })
      .getToken(SCOPE)
      .catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_TOKEN_UNAVAILABLE', message: expect.stringContaining('request failed') });
    expect(printed(error)).not.toContain('Hunter2');
  });

  test.each(['tenant; rm -rf /', '$(id)', '--help', 'a b', "'"])('rejects %j as a tenant', (tenantId) => {
    expect(() => createCredential({ method, tenantId })).toThrow(/'tenantId' contains a character/);
  });

  test('rejects an invalid scope', async () => {
    const credential = createCredential({ method });
    await expect(credential.getToken('$(id)/.default')).rejects.toMatchObject({ code: 'ERR_CONFIGURATION' });
    expect(tools.runs(command)).toHaveLength(0);
  });
});

test('az gets the resource, tenant and subscription, without a shell', async () => {
  tools.install('az', `cat <<'END'\n${PRINTS['azure-cli']?.print('opaque', inAnHour())}\nEND`);
  const tenantId = 'contoso.example';
  await createCredential({ method: 'azure-cli', tenantId, subscription: 'Pay as you go' }).getToken(SCOPE);
  expect(tools.runs('az')).toEqual([
    [
      ...['account', 'get-access-token', '--output', 'json', '--resource', 'https://database.windows.net'],
      ...['--tenant', tenantId, '--subscription', 'Pay as you go'],
    ],
  ]);
});

test('azd gets the scope', async () => {
  tools.install('azd', `cat <<'END'\n${PRINTS['azure-developer-cli']?.print('opaque', inAnHour())}\nEND`);
  await createCredential({ method: 'azure-developer-cli' }).getToken(SCOPE);
  expect(tools.runs('azd')).toEqual([['auth', 'token', '--output', 'json', '--no-prompt', '--scope', SCOPE]]);
});

test('pwsh gets the resource and converts a secure string to plain text', async () => {
  tools.install('pwsh', `cat <<'END'\n${PRINTS['azure-powershell']?.print('opaque', inAnHour())}\nEND`);
  await createCredential({ method: 'azure-powershell', tenantId: 'contoso.example' }).getToken(SCOPE);
  const [run = []] = tools.runs('pwsh');
  const script = Buffer.from(run.at(-1) ?? '', 'base64').toString('utf16le');
  expect(run.slice(0, -1)).toEqual(['-NoLogo', '-NoProfile', '-NonInteractive', '-EncodedCommand']);
  expect(script).toContain("ResourceUrl = 'https://database.windows.net'");
  expect(script).toContain("TenantId = 'contoso.example'");
  expect(script).toContain('SecureString');
});

test("the local time of an old az without 'expires_on' is supported", async () => {
  const at = new Date(inAnHour() * 1000);
  const two = (n: number) => String(n).padStart(2, '0');
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join('-');
  const expiresOn = `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.000000`;
  tools.install('az', `cat <<'END'\n${JSON.stringify({ accessToken: 'opaque', expiresOn })}\nEND`);
  const answer = await createCredential({ method: 'azure-cli' }).getToken(SCOPE);
  expect(answer?.expiresOnTimestamp).toBe(at.getTime());
});

test.each([
  ['azure-cli', 'az', "ERROR: Please run 'az login' to setup account.", 'az login'],
  ['azure-developer-cli', 'azd', 'ERROR: not logged in, run `azd auth login` to login', 'azd auth login'],
  ['azure-powershell', 'pwsh', 'Run Connect-AzAccount to login.', 'Connect-AzAccount'],
] as const)('%s without anybody signed in says how to', async (method, command, said, hint) => {
  tools.install(command, `echo '${said.replaceAll("'", `'"'"'`)}' >&2; exit 1`);
  await expect(createCredential({ method }).getToken(SCOPE)).rejects.toMatchObject({
    code: 'ERR_INTERACTION_REQUIRED',
    hint: expect.stringContaining(hint),
  });
});

import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { createCredential, type PersistentCache, TokenCache } from '../../../src/index.js';
import { type EntraEmulator, startEntraEmulator } from '../../../src/testing/index.js';
import { printed } from '../printed.js';

const SCOPE = 'https://database.windows.net/.default';
let entra: EntraEmulator;

beforeAll(async () => {
  entra = await startEntraEmulator({ refreshTokens: { oneTime: true } });
});
afterEach(() => entra.heal());
afterAll(() => entra.close());

function options() {
  return { tenantId: entra.tenantId, authority: entra.url };
}

async function upn(credential: { getToken(scope: string): Promise<{ token: string } | null> }): Promise<unknown> {
  const answer = await credential.getToken(SCOPE);
  return (entra.verify(answer?.token ?? '') as { upn?: string }).upn;
}

const grants = () => entra.requests.filter((request) => request.endpoint === 'token').map((one) => one.grantType);

describe('user name and password', () => {
  test('signs in once, then renews by refresh token', async () => {
    const { userName: username, password } = entra.user;
    const credential = createCredential({ ...options(), username, password });
    const before = grants().length;
    expect(await upn(credential)).toBe(username);
    expect(await upn(credential)).toBe(username);
    expect(grants().slice(before)).toEqual(['password', 'refresh_token']);
    expect(credential.principal).toMatchObject({ method: 'password', id: username });
  });

  test('signs in again by itself if the session is revoked', async () => {
    const user = entra.addUser();
    const credential = createCredential({ ...options(), username: user.userName, password: user.password });
    await upn(credential);
    entra.revokeSessions(user);
    expect(await upn(credential)).toBe(user.userName);
  });

  test('a wrong password is refused and never shown', async () => {
    const { userName: username } = entra.user;
    const credential = createCredential({ ...options(), username, password: 'not-the-password' });
    const error = await credential.getToken(SCOPE).catch((e) => e);
    expect(error).toMatchObject({ aadsts: 50126, hint: expect.stringContaining('password') });
    expect(printed(error, credential)).not.toContain('not-the-password');
  });

  test('multi-factor authentication requires interaction', async () => {
    const user = entra.addUser({ mfaRequired: true });
    const credential = createCredential({ ...options(), username: user.userName, password: user.password });
    await expect(credential.getToken(SCOPE)).rejects.toMatchObject({ code: 'ERR_INTERACTION_REQUIRED', aadsts: 50076 });
  });

  test('warns once that it is legacy', async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on('warning', onWarning);
    createCredential({ ...options(), username: 'a', password: 'b' });
    createCredential({ ...options(), username: 'a', password: 'b' });
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', onWarning);
    expect(warnings.length).toBeLessThanOrEqual(1);
  });
});

describe('a refresh token', () => {
  test('returns tokens, as do its successors, although each works only once', async () => {
    const credential = createCredential({ ...options(), refreshToken: await refreshTokenOf(entra) });
    for (let i = 0; i < 4; i += 1) expect(await upn(credential)).toBe(entra.user.userName);
    const tokens = new TokenCache(credential);
    const [sql, graph] = await Promise.all([tokens.get(SCOPE), tokens.get('https://graph.microsoft.com/.default')]);
    expect(sql.id).not.toBe(graph.id);
  });

  test('that is invalid requires interaction and is never shown', async () => {
    const refreshToken = await refreshTokenOf(entra);
    entra.revokeSessions(entra.user);
    const credential = createCredential({ ...options(), refreshToken });
    const error = await credential.getToken(SCOPE).catch((e) => e);
    expect(error).toMatchObject({ code: 'ERR_INTERACTION_REQUIRED', aadsts: 50173 });
    expect(printed(error, credential)).not.toContain(refreshToken);
  });
});

describe('a persistent cache', () => {
  function store(): PersistentCache & { text: string } {
    const self = {
      text: '',
      async beforeCacheAccess({ tokenCache }: Parameters<PersistentCache['beforeCacheAccess']>[0]) {
        if (self.text !== '') tokenCache.deserialize(self.text);
      },
      async afterCacheAccess({ cacheHasChanged, tokenCache }: Parameters<PersistentCache['afterCacheAccess']>[0]) {
        if (cacheHasChanged) self.text = tokenCache.serialize();
      },
    };
    return self;
  }

  test('keeps the sign-in across a restart', async () => {
    const persistentCache = store();
    const { userName: username, password } = entra.user;
    await upn(createCredential({ ...options(), username, password, persistentCache }));
    const before = grants().length;
    const afterRestart = createCredential({
      method: 'device-code',
      ...options(),
      persistentCache,
      onCode: () => expect.unreachable('no sign-in is needed'),
    });
    expect(await upn(afterRestart)).toBe(username);
    expect(grants().slice(before)).toEqual(['refresh_token']);
  });

  test("never returns another user's session", async () => {
    const persistentCache = store();
    const [one, two] = [entra.addUser(), entra.addUser()];
    for (const { userName: username, password } of [one, two]) {
      await upn(createCredential({ ...options(), username, password, persistentCache }));
    }
    const again = createCredential({ ...options(), username: two.userName, password: 'x-wrong-x', persistentCache });
    expect(await upn(again)).toBe(two.userName);
    const unknown = createCredential({ ...options(), username: 'unknown@x', password: 'x-wrong-x', persistentCache });
    await expect(upn(unknown)).rejects.toMatchObject({ aadsts: 50034 });
  });

  test('with several users selects none by itself; user names are case-insensitive', async () => {
    const persistentCache = store();
    const [one, two] = [entra.addUser(), entra.addUser()];
    for (const { userName: username, password } of [one, two]) {
      await upn(createCredential({ ...options(), username, password, persistentCache }));
    }
    let asked = 0;
    const onCode = () => {
      asked += 1;
      entra.deviceSignIns.at(-1)?.approve(two);
    };
    const loud = {
      method: 'device-code',
      ...options(),
      username: one.userName.toUpperCase(),
      persistentCache,
      onCode,
    } as const;
    expect(await upn(createCredential(loud))).toBe(one.userName);
    expect(asked).toBe(0);
    const { username: _, ...anyone } = loud;
    expect(await upn(createCredential(anyone))).toBe(two.userName);
    expect(asked).toBe(1);
  });

  test('that fails does not fail the sign-in', async () => {
    const persistentCache = {
      beforeCacheAccess: () => Promise.reject(new Error('redis is down')),
      afterCacheAccess: () => Promise.reject(new Error('redis is down')),
    };
    const { userName: username, password } = entra.user;
    const credential = createCredential({ ...options(), username, password, persistentCache });
    expect(await upn(credential)).toBe(username);
    expect(await upn(credential)).toBe(username);
  });

  test('P10: its error may quote what it was to store; the warning does not', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    let secret = '';
    try {
      const persistentCache: PersistentCache = {
        beforeCacheAccess: () => Promise.resolve(),
        async afterCacheAccess({ tokenCache }) {
          const { RefreshToken } = JSON.parse(tokenCache.serialize());
          const [entry] = Object.values(RefreshToken) as { secret: string }[];
          // In a form that cannot be recognized, only known.
          if (entry === undefined) return;
          ({ secret } = entry);
          throw new Error(`cannot write ${Buffer.from(secret).toString('base64')}`);
        },
      };
      const { userName: username, password } = entra.user;
      const credential = createCredential({ ...options(), username, password, persistentCache });
      expect(await upn(credential)).toBe(username);
      expect(String(warned.mock.calls)).toContain('cannot write');
      expect(String(warned.mock.calls)).not.toContain(Buffer.from(secret).toString('base64').slice(0, 20));
    } finally {
      warned.mockRestore();
    }
  });
});

/** A refresh token obtained by another program that keeps the user signed in. */
async function refreshTokenOf(from: EntraEmulator): Promise<string> {
  const response = await fetch(`${from.url}/${from.tenantId}/oauth2/v2.0/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'password',
      client_id: '04b07795-8ddb-461a-bbee-02f9e1bf7b46',
      username: from.user.userName,
      password: from.user.password,
      scope: `${SCOPE} offline_access openid`,
    }),
  });
  return ((await response.json()) as { refresh_token: string }).refresh_token;
}

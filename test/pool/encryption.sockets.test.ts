import { expect, test } from 'vitest';
import { ConfigurationError, EncryptionRequiredError } from '../../src/errors.js';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';

const staticToken = (token: string) => ({
  getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }),
});

test.each(['off', 'not-supported'] as const)(
  'a server that downgrades encryption (%s) gets no token, not one byte of it',
  async (encrypt) => {
    await using s = await site({ server: { encrypt } });
    const token = s.entra.issueToken();
    const error = await s
      .pool({ authentication: staticToken(token) })
      .acquire()
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(EncryptionRequiredError);
    expect(error).toMatchObject({ code: 'ERR_ENCRYPTION_REQUIRED' });
    const clear = s.server.receivedInClear;
    expect(clear.length).toBeGreaterThan(0);
    const text = clear.toString('latin1') + clear.toString('utf16le');
    expect(text).not.toContain(token.slice(0, 40));
    expect(s.server.logins.filter((login) => login.tokenExpiry !== undefined)).toEqual([]);
  },
);

test('encrypt: false together with a token is refused before anything is opened', async () => {
  await using s = await site();
  expect(() => s.pool({ options: { encrypt: false } })).toThrow(ConfigurationError);
  expect(() => s.pool({ encrypt: false, options: {} })).toThrow(/options\.encrypt/);
});

test("encrypt: 'strict' (TDS 8) works", async () => {
  await using s = await site({ server: { encrypt: 'strict' } });
  const config = s.server.config();
  const pool = s.pool({ options: { ...config.options, encrypt: 'strict' } as never });
  expect(await pool.use((connection) => query(connection, 'SELECT 1'))).toEqual([[1]]);
  expect(s.server.logins).toMatchObject([{ strict: true, accepted: true }]);
});

test('rejects an untrusted certificate, with an error that says what to do', async () => {
  await using s = await site();
  const pool = s.pool({ options: { encrypt: true } });
  await expect(pool.acquire()).rejects.toMatchObject({ hint: expect.stringContaining('NODE_EXTRA_CA_CERTS') });
  expect(s.server.logins.filter((login) => login.tokenExpiry !== undefined)).toEqual([]);
});

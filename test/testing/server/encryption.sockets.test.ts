import { describe, expect, test } from 'vitest';
import { startEntraEmulator, startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, refusedLogin, tediousConnect } from '../sql-clients.js';

/** A login without encryption, by a client that ignores the server's answer. */
async function tokenInClear(encrypt: 'off' | 'not-supported') {
  const entra = closing(await startEntraEmulator());
  const server = closing(await startSqlEmulator({ entra, encrypt }));
  const token = entra.issueToken();
  const authentication = { type: 'azure-active-directory-access-token', options: { token } };
  await tediousConnect(server.config({ authentication, options: { encrypt: false } }));
  return { server, token };
}

describe('encryption', () => {
  test.each(['on', 'required'] as const)('%s: no part of a login is readable on the wire', async (encrypt) => {
    const entra = closing(await startEntraEmulator());
    const server = closing(await startSqlEmulator({ entra, encrypt }));
    const token = entra.issueToken();
    const authentication = { type: 'azure-active-directory-access-token', options: { token } };
    const { connection } = await tediousConnect(server.config({ authentication }));
    await execute(connection, 'SELECT 1');
    expect(server.logins[0]?.encrypted).toBe(true);
    expect(server.receivedInClear.includes(Buffer.from(token.slice(0, 50), 'utf16le'))).toBe(false);
  });

  test.each(['off', 'not-supported'] as const)('%s: a client that continues is detected', async (encrypt) => {
    const { server, token } = await tokenInClear(encrypt);
    expect(server.logins[0]).toMatchObject({ encrypted: false, accepted: true });
    expect(server.receivedInClear.includes(Buffer.from(token, 'utf16le'))).toBe(true);
  });

  test('on: a client without encryption is accepted', async () => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config({ options: { encrypt: false } }));
    expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
    expect(server.logins[0]?.encrypted).toBe(false);
  });

  test('required: a client without encryption is refused', async () => {
    const server = closing(await startSqlEmulator({ encrypt: 'required' }));
    const { error } = await refusedLogin(server.config({ options: { encrypt: false } }));
    expect(error).toMatchObject({ code: 'EENCRYPT' });
    expect(server.logins).toEqual([]);
  });

  test('on: TDS 8 is accepted as well', async () => {
    const server = closing(await startSqlEmulator());
    const { connection } = await tediousConnect(server.config({ options: { encrypt: 'strict' } }));
    expect(await execute(connection, 'SELECT 1')).toEqual([[1]]);
    expect(server.logins[0]).toMatchObject({ strict: true });
  });

  test('strict: TDS 7 is refused', async () => {
    const server = closing(await startSqlEmulator({ encrypt: 'strict' }));
    const { error } = await refusedLogin(server.config({ options: { encrypt: true } }));
    expect(error).toMatchObject({ code: 'ESOCKET' });
    expect(server.protocolErrors).toMatchObject([{ message: 'only TDS 8 is allowed' }]);
  });

  test('only config() trusts the certificate', async () => {
    const server = closing(await startSqlEmulator());
    await tediousConnect(server.config());
    const { error } = await refusedLogin(server.config({ options: { cryptoCredentialsDetails: {} } }));
    expect(error.message).toMatch(/self-signed|unable to verify/);
  });
});

import { describe, expect, test } from 'vitest';
import { startEntraEmulator, startSqlEmulator } from '../../../src/testing/index.js';
import { closing, execute, refusedLogin, tediousConnect } from '../sql-clients.js';

const BARE = "Login failed for user '<token-identified principal>'.";
const NOT_CONFIGURED = `${BARE} The server is not currently configured to accept this token.`;

function withToken(token: string) {
  return { authentication: { type: 'azure-active-directory-access-token', options: { token } } };
}

describe('a login is refused as in Azure SQL', () => {
  test('expired token: 18456 state 233', async () => {
    const entra = closing(await startEntraEmulator());
    const server = closing(await startSqlEmulator({ entra }));
    const { error, errors } = await refusedLogin(server.config(withToken(entra.issueToken({ expiresInSeconds: -1 }))));
    expect(errors).toMatchObject([{ number: 18456, state: 233, class: 14, message: `${BARE} Token is expired.` }]);
    expect(error).toMatchObject({ code: 'ELOGIN' });
    const [login] = server.logins;
    expect(login).toMatchObject({ accepted: false, principal: entra.clientId, error: { number: 18456, state: 233 } });
    expect(login?.tokenExpiry).toBeLessThan(login?.time ?? 0);
  });

  test('expired token in the answer to FEDAUTHINFO', async () => {
    const entra = closing(await startEntraEmulator());
    const server = closing(await startSqlEmulator({ entra }));
    const getToken = async () => ({ token: entra.issueToken({ expiresInSeconds: -1 }), expiresOnTimestamp: 0 });
    const authentication = { type: 'token-credential', options: { credential: { getToken } } };
    const { errors } = await refusedLogin(server.config({ authentication }));
    expect(errors).toMatchObject([{ number: 18456, state: 233 }]);
  });

  test('token for another resource: 18456 state 235', async () => {
    const entra = closing(await startEntraEmulator());
    const server = closing(await startSqlEmulator({ entra }));
    const { errors } = await refusedLogin(
      server.config(withToken(entra.issueToken({ audience: 'https://vault.azure.net' }))),
    );
    expect(errors).toMatchObject([{ number: 18456, state: 235, class: 14, message: NOT_CONFIGURED }]);
  });

  test('token of another issuer or with an invalid signature: 18456 state 235', async () => {
    const entra = closing(await startEntraEmulator());
    const stranger = closing(await startEntraEmulator());
    const server = closing(await startSqlEmulator({ entra }));
    const [header, , signature] = entra.issueToken().split('.');
    const [, otherClaims] = entra.issueToken({ claims: { roles: ['admin'] } }).split('.');
    for (const token of [stranger.issueToken(), `${header}.${otherClaims}.${signature}`]) {
      const { errors } = await refusedLogin(server.config(withToken(token)));
      expect(errors).toMatchObject([{ number: 18456, state: 235, message: NOT_CONFIGURED }]);
    }
  });

  test('not a token: 18456 state 132', async () => {
    const entra = closing(await startEntraEmulator());
    const server = closing(await startSqlEmulator({ entra }));
    const { errors } = await refusedLogin(server.config(withToken('not a token')));
    expect(errors).toMatchObject([{ number: 18456, state: 132, message: BARE }]);
  });

  test('valid token whose principal has no user in the database: bare 18456', async () => {
    const entra = closing(await startEntraEmulator());
    const server = closing(await startSqlEmulator({ entra, principals: { [entra.clientId]: 'no-database-user' } }));
    const { errors } = await refusedLogin(server.config());
    expect(errors).toMatchObject([{ number: 18456, state: 1, class: 14, message: BARE }]);
  });

  test('principal with a configured error: 40615', async () => {
    const entra = closing(await startEntraEmulator());
    const message =
      "Cannot open server 'emulator' requested by the login. Client with IP address '10.0.0.1' is not allowed.";
    const server = closing(
      await startSqlEmulator({ entra, principals: { [entra.clientId]: { number: 40615, message } } }),
    );
    const { errors } = await refusedLogin(server.config());
    expect(errors).toMatchObject([{ number: 40615, class: 14, message }]);
  });

  test('a token sent to a server without Entra', async () => {
    const entra = closing(await startEntraEmulator());
    const server = closing(await startSqlEmulator());
    const { errors } = await refusedLogin(server.config(withToken(entra.issueToken())));
    expect(errors).toMatchObject([{ number: 18456, state: 1, message: "Login failed for user ''." }]);
  });

  test('a wrong password', async () => {
    const server = closing(await startSqlEmulator({ users: { app: 'right' } }));
    const { errors } = await refusedLogin(server.config({ user: 'app', password: 'wrong' }));
    expect(errors).toMatchObject([{ number: 18456, state: 1, class: 14, message: "Login failed for user 'app'." }]);
    await tediousConnect(server.config({ user: 'app', password: 'right' }));
  });

  test('a user name that is a property name of JavaScript objects', async () => {
    const server = closing(await startSqlEmulator());
    const { errors } = await refusedLogin(server.config({ user: 'constructor', password: '' }));
    expect(errors).toMatchObject([{ number: 18456 }]);
  });

  test('a database that does not exist: 4060, then 18456', async () => {
    const server = closing(await startSqlEmulator({ databases: ['master', 'orders'] }));
    const { errors } = await refusedLogin(server.config({ database: 'nowhere' }));
    expect(errors.map((error) => error.number)).toEqual([4060, 18456]);
    expect(errors[0]?.message).toBe('Cannot open database "nowhere" requested by the login. The login failed.');
    const { connection } = await tediousConnect(server.config({ database: 'ORDERS' }));
    expect(await execute(connection, 'SELECT DB_NAME()')).toEqual([['ORDERS']]);
  });
});

import { expect, test } from 'vitest';
import {
  type EntraEmulator,
  type SqlEmulator,
  type SqlGateway,
  type SqlGatewayOptions,
  startEntraEmulator,
  startSqlEmulator,
  startSqlGateway,
  type UpstreamConfig,
} from '../../../src/testing/index.js';
import { closing, execute, refusedLogin, tediousConnect } from '../sql-clients.js';

/** Passwords of the upstream server; `admin` is the login that must not be reachable by name. */
const USERS = { app: 'App-password-1', admin: 'Admin-password-1', reports: 'Reports-password-1' };
const ADMIN = { user: 'admin', password: USERS.admin };

interface Site {
  entra: EntraEmulator;
  behind: SqlEmulator;
  gateway: SqlGateway;
}

async function site(
  upstream: Partial<UpstreamConfig> | ((entra: EntraEmulator) => Partial<UpstreamConfig>),
  options: Partial<SqlGatewayOptions> = {},
): Promise<Site> {
  const entra = closing(await startEntraEmulator());
  const behind = closing(await startSqlEmulator({ users: USERS }));
  const gateway = closing(
    await startSqlGateway({
      entra,
      upstream: {
        server: 'localhost',
        port: behind.port,
        options: { cryptoCredentialsDetails: { ca: behind.ca } },
        ...(typeof upstream === 'function' ? upstream(entra) : upstream),
      },
      ...options,
    }),
  );
  return { entra, behind, gateway };
}

function withToken(token: string): object {
  return { authentication: { type: 'azure-active-directory-access-token', options: { token } } };
}

/** The upstream login of a token. */
async function loginUpstream({ gateway }: Site, token: string): Promise<unknown> {
  const { connection } = await tediousConnect(gateway.config(withToken(token)) as never);
  const [[name] = []] = await execute(connection, 'SELECT SUSER_SNAME()');
  return name;
}

test.each([
  'report-app',
  'REPORT-APP',
  'report-app ',
  ' report-app',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
])('does not map a SQL login named %j to the login of a principal', async (user) => {
  const { behind, gateway } = await site({ logins: { 'report-app': ADMIN } });
  const { errors } = await refusedLogin(gateway.config({ user, password: 'any password' }));
  expect(errors).toMatchObject([{ number: 18456, message: `Login failed for user '${user}'.` }]);
  expect(behind.logins.map(({ principal, accepted }) => [principal, accepted])).toEqual([[user, false]]);
});

test('does not map a SQL login listed in users: it logs in upstream with its own name', async () => {
  const users = { reports: USERS.reports };
  const { gateway } = await site({ logins: { reports: ADMIN } }, { users });
  const { connection } = await tediousConnect(gateway.config({ user: 'reports', password: USERS.reports }));
  expect(await execute(connection, 'SELECT SUSER_SNAME()')).toEqual([['reports']]);
});

test('refuses every SQL login if users is empty', async () => {
  const { behind, gateway } = await site({ ...ADMIN }, { users: {} });
  const { errors } = await refusedLogin(gateway.config({ user: 'admin', password: USERS.admin }));
  expect(errors).toMatchObject([{ number: 18456 }]);
  expect(behind.logins).toEqual([]);
});

test.each(['__proto__', 'constructor', 'toString', 'valueOf'])(
  'gives a user named %s the default login',
  async (upn) => {
    const started = await site({ user: 'app', password: USERS.app, logins: { 'ada@contoso.example': ADMIN } });
    const token = started.entra.issueToken({ principal: started.entra.user, claims: { upn } });
    expect(await loginUpstream(started, token)).toBe('app');
  },
);

test('maps user names case-insensitively, so that a listed user never gets the default login', async () => {
  const logins = { 'Ada@contoso.example': { user: 'reports', password: USERS.reports } };
  const started = await site({ ...ADMIN, logins });
  const token = started.entra.issueToken({ principal: started.entra.user, claims: { upn: 'ada@CONTOSO.example' } });
  expect(await loginUpstream(started, token)).toBe('reports');
});

test.each([
  ['a look-alike letter', '\u212Aim@contoso.example'],
  ['a trailing blank', 'kim@contoso.example '],
])('does not take %s for the name of a mapped principal', async (_, upn) => {
  const started = await site({ user: 'app', password: USERS.app, logins: { 'kim@contoso.example': ADMIN } });
  const token = started.entra.issueToken({ principal: started.entra.user, claims: { upn } });
  expect(await loginUpstream(started, token)).toBe('app');
});

test('does not treat a user as the application that obtained the token, and ignores names that users can choose', async () => {
  const started = await site((entra) => ({
    user: 'app',
    password: USERS.app,
    logins: { [entra.clientId]: ADMIN, 'boss@contoso.example': ADMIN },
  }));
  const { entra } = started;
  const claims = { upn: undefined, appid: entra.clientId, preferred_username: 'boss@contoso.example' };
  expect(await loginUpstream(started, entra.issueToken({ principal: entra.user, claims }))).toBe('app');
});

test('also maps by object id', async () => {
  const started = await site((entra) => ({ logins: { [entra.user.objectId.toUpperCase()]: ADMIN } }));
  expect(await loginUpstream(started, started.entra.issueToken({ principal: started.entra.user }))).toBe('admin');
});

test('refuses a principal for which no upstream login is configured, and reports what is missing', async () => {
  const { entra, behind, gateway } = await site({});
  const { errors } = await refusedLogin(gateway.config(withToken(entra.issueToken())) as never);
  expect(errors).toMatchObject([{ number: 18456 }]);
  expect(gateway.upstreamErrors).toMatchObject([
    { message: expect.stringMatching(/upstream\.user.*upstream\.logins/) },
  ]);
  expect(behind.connections.most).toBe(0);
});

test('rejects two entries for one principal', async () => {
  const logins = { 'ada@contoso.example': ADMIN, 'ADA@contoso.example': { user: 'reports', password: '' } };
  await expect(startSqlGateway({ upstream: { server: 'localhost', logins } })).rejects.toThrow(/letter case/);
});

test.each(['SA', 'sa ', '\uFF53\uFF41'])('refuses the SQL login %j if principals refuses sa', async (user) => {
  const { behind, gateway } = await site({}, { principals: { sa: 'no-database-user' } });
  const { errors } = await refusedLogin(gateway.config({ user, password: 'x' }));
  expect(errors).toMatchObject([{ number: 18456 }]);
  expect(behind.logins).toEqual([]);
});

test.each(['__proto__', 'constructor'])('does not refuse a user because the name is %s', async (upn) => {
  const started = await site({ user: 'app', password: USERS.app }, { principals: {} });
  const token = started.entra.issueToken({ principal: started.entra.user, claims: { upn } });
  expect(await loginUpstream(started, token)).toBe('app');
});

import { expect, test } from 'vitest';
import {
  createTestClock,
  makeCertificate,
  startEntraEmulator,
  startFaultControl,
  startSqlEmulator,
  startSqlGateway,
} from '../../src/testing/index.js';

// biome-ignore lint/suspicious/noExplicitAny: a misspelt option, as JavaScript lets it through
type Untyped = any;

test('running emulators refuse misspelt options as well, and name the known ones', async () => {
  await using entra = await startEntraEmulator();
  await using server = await startSqlEmulator({ entra });
  for (const call of [
    () => entra.fail({ stauts: 503, delayMs: 1 } as Untyped),
    () => entra.addApp({ secret: 'x' } as Untyped),
    () => entra.updateApp(entra.clientId, { secret: 'x' } as Untyped),
    () => entra.addUser({ username: 'ada' } as Untyped),
    () => entra.updateUser(entra.user.userName, { mfa: true } as Untyped),
    () => entra.addManagedIdentity({ clientID: 'x' } as Untyped),
    () => entra.issueToken({ expiresIn: -60 } as Untyped),
    () => entra.issueFederatedToken({ subject: 'x', expires: 1 } as Untyped),
    () => server.failLogins({ number: 40613, times: 2 } as Untyped),
    () => server.expect('SELECT 1', [], { time: 1 } as Untyped),
    () => makeCertificate({ commonName: 'x', altnames: [] } as Untyped),
  ]) {
    expect(call).toThrow(/^\w+ has no option '\w+'\. Its options are \w+/);
  }
});

test.each<[string, () => unknown]>([
  ['deviceCode', () => startEntraEmulator({ deviceCode: { interval: 1 } } as Untyped)],
  ['refreshTokens', () => startEntraEmulator({ refreshTokens: { onetime: true } } as Untyped)],
  ['addApp', () => startEntraEmulator({ app: { secret: 'x' } } as Untyped)],
  ['upstream', () => startSqlGateway({ upstream: { server: 'x', userName: 'sa' } } as Untyped)],
])('a misspelt option below %s is refused before anything starts', async (where, start) => {
  await expect((async () => start())()).rejects.toThrow(`${where} has no option '`);
});

test.each<[string, Untyped]>([
  ["'user' and 'password' go together", { user: 'sa' }],
  ["'user' and 'password' go together", { password: 'x' }],
  ["'logins' must give { user, password } for 'report'", { logins: { report: { user: 'r' } } }],
  ["'logins' must give { user, password } for 'report'", { logins: { report: 'r' } }],
])('half a login for the upstream server is refused before anything starts: %s', async (message, upstream) => {
  await expect(startSqlGateway({ upstream: { server: 'x', ...upstream } })).rejects.toThrow(message);
});

test('an option without a value is not an option', async () => {
  await using server = await startSqlEmulator({ upstream: undefined, anything: undefined } as Untyped);
  expect(server.port).toBeGreaterThan(0);
});

const start = {
  sql: (options: Untyped) => startSqlEmulator(options),
  gateway: (options: Untyped) => startSqlGateway({ upstream: { server: 'x' }, ...options }),
  entra: (options: Untyped) => startEntraEmulator(options),
  faults: (options: Untyped) => startFaultControl(options),
};

test.each<[keyof typeof start, Untyped, string]>([
  ['sql', null, 'startSqlEmulator takes an object'],
  ['sql', 'x', 'startSqlEmulator takes an object'],
  ['sql', { databases: 'app' }, "'databases' must be an array of strings"],
  ['sql', { users: 'sa' }, "'users' must be an object of passwords"],
  ['sql', { users: { sa: 5 } }, "'users' must be an object of passwords"],
  ['sql', { onQuery: 5 }, "'onQuery' must be a function"],
  ['sql', { onQuery: null }, "'onQuery' must be a function"],
  ['sql', { replay: 5 }, "'replay' must be a string"],
  ['sql', { loginDelayMs: -1 }, "'loginDelayMs' must be a number of milliseconds"],
  ['sql', { loginTimeoutMs: 2 ** 40 }, "'loginTimeoutMs' must be a number of milliseconds"],
  ['sql', { maxMessageBytes: '1' }, "'maxMessageBytes' must be a whole number"],
  ['sql', { redirectTo: 5 }, "'redirectTo' must be an object with 'server' and 'port'"],
  ['sql', { redirectTo: {} }, "'redirectTo' must be an object with 'server' and 'port'"],
  ['sql', { now: 5 }, "'now' must be a function"],
  ['sql', { now: () => Number.NaN }, "'now' must be a function"],
  ['sql', { principals: { x: 'nope' } }, "'principals' must be an object of 'no-database-user'"],
  ['sql', { entra: {} }, "'entra' must be an Entra emulator"],
  ['sql', { entra: 5 }, "'entra' must be an Entra emulator"],
  ['sql', { port: 'x' }, "'port' must be a port"],
  ['sql', { port: 70_000 }, "'port' must be a port"],
  ['sql', { certificate: {} }, "'certificate' must be an object with 'cert' and 'key'"],
  ['gateway', { users: { sa: 5 } }, "'users' must be an object of passwords"],
  ['gateway', { upstream: null }, 'upstream takes an object'],
  ['entra', null, 'startEntraEmulator takes an object'],
  ['entra', { tenantId: '' }, "'tenantId' must be an id or a domain name"],
  ['entra', { tenantId: 'a/b' }, "'tenantId' must be an id or a domain name"],
  ['entra', { https: 'x' }, "'https' must be true, false or an object"],
  ['entra', { now: 5 }, "'now' must be a function"],
  ['entra', { app: 5 }, "'app' must be an object"],
  ['entra', { tokenVersion: '1' }, "'tokenVersion' must be 1 or 2"],
  ['faults', undefined, 'startFaultControl takes an object'],
  ['faults', { port: -1 }, "'port' must be a port"],
])('%s refuses %j before it listens', async (what, options, message) => {
  await expect((async () => start[what](options))()).rejects.toThrow(message);
});

test('running emulators refuse values that they cannot use, and name the option', async () => {
  await using entra = await startEntraEmulator();
  await using server = await startSqlEmulator({ entra });
  const calls: [() => unknown, string][] = [
    [() => entra.fail(undefined as Untyped), 'fail takes an object'],
    [() => entra.fail({ status: '429' } as Untyped), "'status' must be a number"],
    [() => entra.fail({ status: 503, when: 5 } as Untyped), "'when' must be a function"],
    [() => entra.fail({ hang: 'yes' } as Untyped), "'hang' must be true or false"],
    [() => entra.fail({ delayMs: '5' } as Untyped), "'delayMs' must be a number"],
    [() => entra.fail({ status: 503, body: 5 } as Untyped), "'body' must be a string or an object"],
    [() => entra.issueToken({ expiresInSeconds: 'x' } as Untyped), "'expiresInSeconds' must be a number of seconds"],
    [() => entra.issueToken({ principal: {} } as Untyped), "'principal' must be an application, a user"],
    [() => entra.issueToken(null as Untyped), 'issueToken takes an object'],
    [() => server.failLogins(undefined as Untyped), 'failLogins takes an object'],
    [() => server.expect('q', [], null as Untyped), 'expect takes an object'],
    [() => server.expect('q', [], { parameters: 5 } as Untyped), "'parameters' must be an object"],
    [() => createTestClock().set('2024-01-01' as Untyped), 'epoch ms'],
    [() => createTestClock().set(new Date(Number.NaN)), 'epoch ms'],
  ];
  for (const [call, message] of calls) expect(call).toThrow(message);
});

import { expect, test } from 'vitest';
import { makeCertificate, startEntraEmulator, startSqlEmulator, startSqlGateway } from '../../src/testing/index.js';

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

test('an option without a value is no option', async () => {
  await using server = await startSqlEmulator({ upstream: undefined, anything: undefined } as Untyped);
  expect(server.port).toBeGreaterThan(0);
});

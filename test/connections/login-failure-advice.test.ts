import { expect, test } from 'vitest';
import { classifyLoginFailure, isTransient, saysTokenExpired } from '../../src/connections/login-failure.js';
import {
  EncryptionRequiredError,
  LoginRefusedError,
  ServerUnavailableError,
  StaleTokenError,
  TokenPoolError,
} from '../../src/errors.js';
import { CachedToken } from '../../src/tokens/cached-token.js';

const HOUR = 3_600_000;

function token(ageMs: number): CachedToken {
  const obtainedAt = Date.now() - ageMs;
  return new CachedToken(
    { token: 'a.b.c', expiresOnTimestamp: obtainedAt + HOUR },
    { obtainedAt, refreshOn: obtainedAt },
  );
}

const LOGIN = { messages: [], credentialFailure: undefined, server: 'db.example', token: token(0) };

function answered(number: number, message: string, { state = 1, sent = true } = {}) {
  const error = Object.assign(new Error('Login failed.'), { code: 'ELOGIN' });
  const messages = [{ number, state, class: 14, message }];
  return classifyLoginFailure({ ...LOGIN, error, messages, token: sent ? LOGIN.token : undefined });
}

function broken(error: Error & { code?: string }, sent = LOGIN.token) {
  return classifyLoginFailure({ ...LOGIN, error, token: sent });
}

test.each([
  [40615, 'firewall rules'],
  [40914, 'virtual network'],
  [47073, 'private endpoint'],
  [4060, 'Check the database name'],
  [40532, 'Check the server name'],
  [18470, 'ALTER LOGIN'],
  [18487, 'password has expired'],
  [18488, 'password must be changed'],
  [18452, 'untrusted domain'],
  [37525, 'Set a Microsoft Entra admin'],
  [33134, 'identity of the server'],
])('error %i is refused, and the hint says what to do', (number, advice) => {
  const { kind, error } = answered(number, 'No.');
  expect(kind).toBe('refused');
  expect(error).toBeInstanceOf(LoginRefusedError);
  expect(error).toMatchObject({ message: 'No.', number, hint: expect.stringContaining(advice) });
});

test.each([
  ['not configured', 'Server is not currently configured to accept this token.', 'refused', 'the same tenant'],
  ['no user', "Login failed for user '<token-identified principal>'.", 'ambiguous', 'FROM EXTERNAL PROVIDER'],
  ['anonymous', "Login failed for user 'NT AUTHORITY\\ANONYMOUS LOGON'.", 'ambiguous', 'no longer valid'],
  ['somebody', "Login failed for user 'a@b.example'.", 'refused', 'Entra admin and the user'],
  ['expired', 'Token is expired.', 'stale', 'Check the clock'],
])('18456 (%s): kind, error of the server and hint', (_, message, kind, advice) => {
  const failure = answered(18456, message);
  expect(failure.kind).toBe(kind);
  expect(failure.error).toMatchObject({ message, number: 18456, class: 14, hint: expect.stringMatching(advice) });
});

test('18456 without a token is about user name and password, whatever its text', () => {
  const failure = answered(18456, "Login failed for user '<token-identified principal>'.", { sent: false });
  expect(failure).toMatchObject({ kind: 'refused', error: { hint: 'Check the user name and password.' } });
});

test('an unknown number is refused without a hint', () => {
  const { kind, error } = answered(50000, "Login failed for user '<token-identified principal>'.");
  expect([kind, error.hint]).toEqual(['refused', undefined]);
});

test("a transient error keeps the server's text, and says that the login is repeated", () => {
  const { error } = answered(40613, 'Database is not currently available.');
  expect(error).toBeInstanceOf(ServerUnavailableError);
  expect(error).toMatchObject({ message: 'Database is not currently available.', number: 40613 });
  expect(error.hint).toContain('is repeated');
  expect([isTransient(40613), isTransient(4060), isTransient(undefined)]).toEqual([true, false, false]);
});

test('state 233 and "token is expired" count for 18456 alone', () => {
  const says = (number: number, state: number, message: string) =>
    saysTokenExpired({ number, state, class: 14, message });
  expect(says(18456, 233, '')).toBe(true);
  expect(says(18456, 1, 'Token is expired.')).toBe(true);
  expect(says(50000, 233, 'Token is expired.')).toBe(false);
  expect(says(18456, 1, 'Login failed.')).toBe(false);
});

test.each(['self-signed certificate', 'self signed', 'unable to verify the first one'])(
  'TLS says "%s": the certificate is refused, with what to trust',
  (text) => {
    const { kind, error } = broken(new Error(text));
    expect(kind).toBe('refused');
    expect(error.message).toBe(`The certificate of db.example was not accepted: ${text}`);
    expect(error.hint).toContain('Trust the issuing CA');
  },
);

test('a certificate for another name names the settings for the right one', () => {
  const { error } = broken(new Error("Hostname/IP does not match certificate's altnames: Host: db."));
  expect(error.hint).toContain('options.serverName');
  expect(error.hint).toContain('HostNameInCertificate');
});

test('the message of the root cause is not printed twice', () => {
  const root = new Error('connect ECONNREFUSED 127.0.0.1:1433');
  const { error } = broken(new Error(`Failed to connect to db:1433 - ${root.message}`, { cause: root }));
  expect(error.message).toBe('Failed to connect to db:1433 - connect ECONNREFUSED 127.0.0.1:1433');
});

test.runIf(process.version.startsWith('v20.'))('tedious 20 on Node.js 20 says which version is needed', () => {
  const { kind, error } = broken(new TypeError('Promise.withResolvers is not a function'));
  expect([kind, error.code]).toEqual(['refused', 'ERR_CONFIGURATION']);
  expect(error.message).toContain('needs Node.js 22');
});

test('a downgrade that tedious noticed says how to fix the settings', () => {
  const error = Object.assign(new Error('no encryption'), { code: 'EENCRYPT' });
  const failure = broken(error);
  expect(failure.kind).toBe('refused');
  expect(failure.error).toMatchObject({ hint: expect.stringContaining('options.encrypt'), cause: error });
});

test('a downgrade that we noticed is not tried again', () => {
  const ours = new EncryptionRequiredError('not encrypted');
  const failure = classifyLoginFailure({ ...LOGIN, error: new Error('x'), credentialFailure: ours });
  expect(failure).toEqual({ kind: 'refused', error: ours });
});

test('for a dropped socket with a token near its end, the error blames the token and names the server', () => {
  const hungUp = new Error('socket hang up');
  const { kind, error } = broken(hungUp, token(HOUR - 299_000));
  expect([kind, error.cause]).toEqual(['stale', hungUp]);
  expect(error).toBeInstanceOf(StaleTokenError);
  expect(error.message).toBe('db.example dropped the connection during a login with a token near its end.');
  expect(broken(hungUp, token(HOUR - 301_000)).kind).toBe('unreachable');
  expect(classifyLoginFailure({ ...LOGIN, error: hungUp, token: undefined }).kind).toBe('unreachable');
});

test('an unreachable server is reported with the root cause, however deep', () => {
  const refused = new Error('connect ECONNREFUSED 10.0.0.2:1433');
  const timedOut = new Error('connect ETIMEDOUT 10.0.0.1:1433');
  const all = new AggregateError([timedOut, timedOut, refused]);
  const { error } = broken(new Error('Could not connect (sequence)', { cause: all }));
  expect(error.message).toBe('Could not connect (sequence): connect ECONNREFUSED 10.0.0.2:1433');
  expect(error.hint).toContain('Check the server name and port');
  expect(broken(new Error('')).error.message).toBe('No connection to db.example.');
  expect(broken(new Error('alone', { cause: 'text' })).error.message).toBe('alone');
});

test('an error that is its own cause ends the search', () => {
  const endless = new Error('round and round');
  endless.cause = endless;
  expect(broken(endless).error.message).toBe('round and round');
});

test('a connect timeout says what to check, also when the token is near its end', () => {
  const slow = Object.assign(new Error('Failed to connect in 15000ms'), { code: 'ETIMEOUT' });
  const failure = broken(slow, token(HOUR - 1_000));
  expect(failure).toMatchObject({ kind: 'unreachable', error: { hint: expect.stringContaining('connectTimeout') } });
});

test('the reason for a missing token is kept, or wrapped when it is not ours', () => {
  const ours = new TokenPoolError('HTTP 503');
  const failed = (credentialFailure: Error) =>
    classifyLoginFailure({ ...LOGIN, error: new Error('x'), credentialFailure });
  expect(failed(ours)).toEqual({ kind: 'credential', error: ours });
  const theirs = new TypeError('boom');
  expect(failed(theirs).error).toMatchObject({ message: 'No access token: boom', cause: theirs });
});

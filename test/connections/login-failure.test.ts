import { expect, test } from 'vitest';
import { classifyLoginFailure, type FailedLogin, freshTokenMayHelp } from '../../src/connections/login-failure.js';
import { EncryptionRequiredError, TokenTimeoutError } from '../../src/errors.js';
import { CachedToken } from '../../src/tokens/cached-token.js';

const HOUR = 3_600_000;

function token(ageMs: number, lifeMs = HOUR): CachedToken {
  const obtainedAt = Date.now() - ageMs;
  return new CachedToken(
    { token: 'a.b.c', expiresOnTimestamp: obtainedAt + lifeMs },
    { obtainedAt, refreshOn: obtainedAt + lifeMs / 2 },
  );
}

function login(over: Partial<FailedLogin> & { number?: number; state?: number; message?: string }): FailedLogin {
  const { number, state = 1, message = '', ...rest } = over;
  return {
    error: Object.assign(new Error('Login failed.'), { code: 'ELOGIN' }),
    messages: number === undefined ? [] : [{ number, state, class: 14, message }],
    token: token(0),
    credentialFailure: undefined,
    server: 'db.example',
    ...rest,
  };
}

function socketError(message: string, code = 'ESOCKET'): Error {
  return Object.assign(new Error(message), { code });
}

test.each([
  [
    'state 233',
    { number: 18456, state: 233, message: "Login failed for user '<token-identified principal>'." },
    'stale',
  ],
  ['Token is expired', { number: 18456, message: "Login failed for user 'x'. Token is expired." }, 'stale'],
  ['37396', { number: 37396, message: 'Query cannot be executed, access token is expired.' }, 'stale'],
  ['bare principal', { number: 18456, message: "Login failed for user '<token-identified principal>'." }, 'ambiguous'],
  ['anonymous', { number: 18456, message: "Login failed for user 'NT AUTHORITY\\ANONYMOUS LOGON'." }, 'ambiguous'],
  [
    'state 235',
    { number: 18456, state: 235, message: 'The server is not currently configured to accept this token.' },
    'refused',
  ],
  ['firewall', { number: 40615, message: 'Cannot open server' }, 'refused'],
  ['no such database', { number: 4060, message: 'Cannot open database "x"' }, 'refused'],
  ['SQL login', { number: 18456, token: undefined, message: "Login failed for user 'sa'." }, 'refused'],
  ['database resumes', { number: 40613, message: 'Database is not currently available.' }, 'transient'],
  ['busy', { number: 40501, message: 'The service is currently busy.' }, 'transient'],
  ['refused socket', { error: socketError('Failed to connect to db:1433 - connect ECONNREFUSED') }, 'unreachable'],
  ['hang-up, young token', { error: socketError('Connection lost - socket hang up') }, 'unreachable'],
  [
    'hang-up, token near its end',
    { error: socketError('Connection lost - socket hang up'), token: token(HOUR - 100_000) },
    'stale',
  ],
  [
    'connect timeout, token near its end',
    { error: socketError('x', 'ETIMEOUT'), token: token(HOUR - 1) },
    'unreachable',
  ],
  ['self-signed', { error: socketError('self-signed certificate') }, 'refused'],
  ['no token', { credentialFailure: new TokenTimeoutError('slow') }, 'credential'],
] as const)('%s is %s', (_name, over, kind) => {
  const failure = classifyLoginFailure(login(over as Parameters<typeof login>[0]));
  expect(failure.kind).toBe(kind);
  expect(failure.error.message).not.toBe('');
});

test('number, state, class and text of the server are kept, and what tedious said is the cause', () => {
  const failed = login({ number: 18456, state: 233, message: 'Token is expired.' });
  const { error } = classifyLoginFailure(failed);
  expect(error).toMatchObject({ code: 'ERR_STALE_TOKEN', number: 18456, state: 233, class: 14, cause: failed.error });
});

test('4060 is reported even though SQL Server sends a bare 18456 after it', () => {
  const messages = [
    { number: 4060, state: 1, class: 11, message: 'Cannot open database "x"' },
    { number: 18456, state: 1, class: 14, message: "Login failed for user '<token-identified principal>'." },
  ];
  expect(classifyLoginFailure(login({ messages })).error).toMatchObject({ number: 4060 });
});

test('a downgraded connection is an EncryptionRequiredError, from us or from tedious', () => {
  const ours = new EncryptionRequiredError('not encrypted');
  expect(classifyLoginFailure(login({ credentialFailure: ours })).error).toBe(ours);
  const theirs = classifyLoginFailure(login({ error: socketError('Server does not support encryption', 'EENCRYPT') }));
  expect(theirs.error).toBeInstanceOf(EncryptionRequiredError);
});

test('an ambiguous refusal of a token that has just been issued is not about the token', () => {
  expect(freshTokenMayHelp('ambiguous', token(0))).toBe(false);
  expect(freshTokenMayHelp('ambiguous', token(HOUR / 2))).toBe(true);
  expect(freshTokenMayHelp('stale', token(0))).toBe(true);
  expect(freshTokenMayHelp('refused', token(HOUR / 2))).toBe(false);
});

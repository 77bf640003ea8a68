import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { settingsFromArgs, USAGE } from '../../src/cli/doctor/settings-from-args.js';
import { ConfigurationError } from '../../src/index.js';
import { clearEnvironment } from '../support/clear-environment.js';

const there = ['--server', 'db.example'];
const ID = '11111111-2222-3333-4444-555555555555';
const AZURE = { AZURE_TENANT_ID: 'contoso.example', AZURE_CLIENT_ID: ID };
const TOKEN = `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${Buffer.from('{"exp":4000000000}').toString('base64url')}.c2ln`;

beforeEach(clearEnvironment);
afterEach(() => {
  vi.unstubAllEnvs();
});

/** How it would log in, and what it says before the first step. */
function read(args: string[], env: Record<string, string> = {}): { login: string; says: string[] } {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const asked = settingsFromArgs(args, env);
  if (asked === 'help') throw new Error('It printed its help.');
  const { settings, findings } = asked;
  const { authentication } = settings.configuration;
  const login = settings.source?.tokens.identity.split(':')[0] ?? `login of ${authentication?.options.userName}`;
  return { login, says: findings.map(({ text }) => text) };
}

describe('how to log in follows from what is given', () => {
  test.each<[string, string[], Record<string, string>, string, string[]]>([
    ['nothing', [], {}, 'managed-identity', []],
    ['a token', [], { SQL_ACCESS_TOKEN: TOKEN }, 'access-token', []],
    ['a secret', [], { ...AZURE, AZURE_CLIENT_SECRET: 's3cret' }, 'service-principal-secret', []],
    [
      'a secret and a token',
      [],
      { ...AZURE, AZURE_CLIENT_SECRET: 's3cret', SQL_ACCESS_TOKEN: TOKEN },
      'service-principal-secret',
      ['SQL_ACCESS_TOKEN is set but not used: --authentication access-token uses it.'],
    ],
    [
      'a token that is chosen',
      ['--authentication', 'access-token'],
      { ...AZURE, AZURE_CLIENT_SECRET: 's3cret', SQL_ACCESS_TOKEN: TOKEN },
      'access-token',
      [],
    ],
    ['a user and a password', ['--user', 'app'], { SQL_PASSWORD: 'pa55word' }, 'login of app', []],
    [
      'a user and a password beside a secret',
      ['--user', 'app'],
      { ...AZURE, AZURE_CLIENT_SECRET: 's3cret', SQL_PASSWORD: 'pa55word' },
      'login of app',
      ['AZURE_CLIENT_SECRET is set but not used: --authentication service-principal-secret uses it.'],
    ],
    [
      'a password without its user',
      [],
      { SQL_PASSWORD: 'pa55word' },
      'managed-identity',
      ['SQL_PASSWORD is set but not used: --user NAME, for a SQL login, uses it.'],
    ],
    ['a source of assertions', ['--from', 'github-actions'], AZURE, 'federated', []],
    [
      'a server beside a connection string in the environment',
      [],
      { SQL_CONNECTION_STRING: 'Server=other;Authentication=Active Directory Default' },
      'managed-identity',
      ['SQL_CONNECTION_STRING is set but not used, because --server is given.'],
    ],
    ['a developer tool', ['--authentication', 'azure-cli'], AZURE, 'azure-cli', []],
    [
      'the environment',
      ['--authentication', 'environment'],
      { ...AZURE, AZURE_CLIENT_SECRET: 's3cret' },
      'service-principal-secret',
      [],
    ],
    ['a person', ['--authentication', 'device-code', '--user', 'ann@contoso.example'], AZURE, 'device-code', []],
    [
      'a person with a password',
      ['--authentication', 'password', '--user', 'ann'],
      { ...AZURE, SQL_PASSWORD: 'pa55word' },
      'password',
      [],
    ],
  ])('%s', (_, args, env, login, says) => {
    expect(read([...there, ...args], env)).toEqual({ login, says });
  });

  test('a connection string says it, and nothing else in the environment', () => {
    const SQL_CONNECTION_STRING = 'Server=db.example;Authentication=Active Directory Managed Identity';
    const env = { SQL_CONNECTION_STRING, SQL_ACCESS_TOKEN: TOKEN, SQL_PASSWORD: 'pa55word' };
    expect(read([], env)).toEqual({
      login: 'managed-identity',
      says: ['SQL_ACCESS_TOKEN', 'SQL_PASSWORD'].map(
        (name) => `${name} is set but not used: the connection string says how to log in.`,
      ),
    });
  });
});

test.each([
  [['--authentication', 'access-token', '--user', 'ann'], '--user has no effect with --authentication access-token.'],
  [
    ['--authentication', 'managed-identity', '--tenant-id', 'x'],
    '--tenant-id has no effect with --authentication managed-identity.',
  ],
  [
    ['--authentication', 'sql-login', '--user', 'app', '--client-id', ID],
    '--client-id has no effect with --authentication sql-login.',
  ],
  [
    ['--authentication', 'managed-identity', '--from', 'aws'],
    '--from has no effect with --authentication managed-identity.',
  ],
  [['--client-id', ID, '--authentication', 'azure-cli'], '--client-id has no effect with --authentication azure-cli.'],
])('%j is refused, not ignored', (args, message) => {
  const env = { SQL_ACCESS_TOKEN: TOKEN, SQL_PASSWORD: 'pa55word' };
  expect(() => read([...there, ...args], env)).toThrow(expect.objectContaining({ message }));
  expect(() => read([...there, ...args], env)).toThrow(ConfigurationError);
});

test('the secret of an application is not sent as the password of a person', () => {
  const args = [...there, '--authentication', 'Active Directory Password', '--user', 'ann@contoso.example'];
  expect(() => read(args, { ...AZURE, AZURE_CLIENT_SECRET: 's3cret' })).toThrow(/'Password' is missing/);
  const both = { ...AZURE, AZURE_CLIENT_SECRET: 's3cret', SQL_PASSWORD: 'pa55word' };
  const application = [...there, '--authentication', 'Active Directory Service Principal'];
  const only = { ...AZURE, AZURE_CLIENT_SECRET: 's3cret' };
  const identityOf = (env: Record<string, string>) => {
    const asked = settingsFromArgs(application, env);
    return asked === 'help' ? undefined : asked.settings.source?.tokens.identity;
  };
  for (const [name, value] of Object.entries(AZURE)) vi.stubEnv(name, value);
  expect(identityOf(both)).toBe(identityOf(only));
});

/** Each is used: the tables above set it, and see its effect. */
test('the help and the page list the same variables', () => {
  const page = readFileSync(new URL('../../docs/doctor.md', import.meta.url), 'utf8');
  const named = (text: string) => new Set(text.match(/\b(?:SQL|AZURE)_[A-Z_]+\b/g));
  expect([...named(page)].sort()).toEqual([...named(USAGE)].sort());
});

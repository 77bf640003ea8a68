import { describe, expect, test } from 'vitest';
import { checkConfig } from '../../src/connections/check-config.js';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import { settingsFrom } from '../../src/connections/settings.js';
import { ConfigurationError } from '../../src/errors.js';
import { cpuLimitMs, cpuMsOf } from '../support/cpu.js';

describe('server', () => {
  test('a named instance has no port', () => {
    const { server, options } = settingsFrom({ server: 'host\\SQL1', user: 'a', password: 'b' }).configuration;
    expect([server, options?.instanceName, options?.port]).toEqual(['host', 'SQL1', undefined]);
  });

  test('a port that differs from the one in server is refused, the same one is not', () => {
    expect(() => settingsFrom({ server: 'host,1434', port: 1433 })).toThrow("'port' and the port in 'server' differ");
    expect(() => settingsFrom({ server: 'host,1434', options: { port: 1433 } })).toThrow(ConfigurationError);
    expect(settingsFrom({ server: 'host,1434', port: 1434, user: 'sa' }).configuration.options?.port).toBe(1434);
  });

  test.each([
    ...['host,', 'host,abc', 'host,99999', 'a,b,1'],
    // Half a connection string, or a password, behind a backslash or a dot: it would become the pool's name.
    ...[
      'host\\x;TenantId=t',
      'host\\x=y',
      'host\\"x"',
      "host\\'x",
      'host\\{x}',
      'host\\a b',
      'host\\x\ny',
      'host\\x\u0000',
    ],
    ...[
      'host\\9zR4ug4l2xG4',
      'host\\',
      'host\\a\\b',
      'host\\p@ss',
      `host\\${'a'.repeat(17)}`,
      `host.${'a'.repeat(64)}`,
    ],
    ...[
      'host;x',
      'host=x',
      'a b',
      'host\nx',
      'host\u0000',
      'host"',
      "host'",
      '{host}',
      'user@host',
      'host/x',
      'host?x',
      'host#x',
    ],
  ])('%j is refused without being repeated', (server) => {
    expect(() => settingsFrom({ server, user: 'sa' })).toThrow(
      new ConfigurationError("'server' must be a host name, host,port or host\\instance."),
    );
  });

  test.each(['x;y', '', 'a b', 42, {}])('options.instanceName %j is refused with its name', (instanceName) => {
    expect(() => settingsFrom({ server: 'h', user: 'sa', options: { instanceName } } as never)).toThrow(
      /^'options.instanceName' must be the name of an instance/,
    );
  });

  test.each(['SQL1', 'MSSQLSERVER', 'sql$2', '_x', 'Größe', 'SQL_2022'])('instance %s is accepted', (instanceName) => {
    for (const config of [{ server: `h\\${instanceName}` }, { server: 'h', options: { instanceName } }]) {
      expect(settingsFrom({ ...config, user: 'sa' }).configuration.options?.instanceName).toBe(instanceName);
    }
  });
});

describe('a value of the wrong type is refused at once, with its key', () => {
  test.each<[key: string, config: object]>([
    ['strictExpiry', { strictExpiry: 'true' }],
    ['validateConnection', { validateConnection: 'yes' }],
    ['scope', { scope: 42 }],
    ['scope', { scope: '' }],
    ['beforeConnect', { beforeConnect: 'hook' }],
    ['pool.validate', { pool: { validate: true } }],
    ['tedious', { tedious: {} }],
    ['connectionTimeout', { connectionTimeout: 0 }],
    ['connectionTimeout', { connectionTimeout: '15000' }],
    ['connectionTimeout', { options: { connectTimeout: Number.NaN } }],
    ['requestTimeout', { requestTimeout: '15000' }],
    ['port', { port: Number.NaN }],
    ['port', { port: '1433' }],
    ['port', { port: 0 }],
    ['options.port', { options: { port: '1433' } }],
    ['pool', { pool: 'big' }],
  ])('%s of %o', (key, config) => {
    const read = () => settingsFrom({ server: 'host', ...config } as TokenPoolConfig);
    expect(read).toThrow(ConfigurationError);
    expect(read).toThrow(`'${key}' must be`);
  });
});

test('null counts as not set', () => {
  const { pool, strictExpiry } = settingsFrom({ server: 'host', user: 'sa', pool: null, strictExpiry: null } as never);
  expect([pool.max, strictExpiry]).toEqual([10, false]);
});

test.each([
  {},
  { user: '' },
  { password: 'secret' },
  { authentication: null },
  { authentication: { type: 'default', options: {} } },
])('a config that names no login (%j) is refused before a socket is opened', (login) => {
  expect(() => settingsFrom({ server: 'host', ...login } as never)).toThrow(/No login is named: set 'authentication'/);
});

test.each([
  ['encrypt', true, false],
  ['encrypt', false, true],
  ['encrypt', 'strict', true],
  ['trustServerCertificate', false, true],
])("'%s' that is %j next to options and %j in them is refused: one of them would be ignored", (key, own, ofOptions) => {
  const config = { server: 'h', user: 'sa', password: 'x', [key]: own, options: { [key]: ofOptions } };
  expect(() => settingsFrom(config as never)).toThrow(`'${key}' and 'options.${key}' differ`);
  for (const same of [ofOptions, undefined, null]) {
    expect(() => settingsFrom({ ...config, [key]: same } as never)).not.toThrow();
  }
});

test('text from the environment is refused with how to convert it', () => {
  const read = () => settingsFrom({ server: 'h,1433', user: 'sa', port: '1433' } as never);
  expect(read).toThrow(expect.objectContaining({ hint: expect.stringContaining('Number(') }));
});

test('a config is checked without being changed, and without a credential being created', () => {
  let calls = 0;
  const authentication = {
    getToken: async () => {
      calls += 1;
      return null;
    },
  };
  const config = Object.freeze({
    server: 'host,1434',
    authentication,
    options: Object.freeze({ trustServerCertificate: true }),
    pool: Object.freeze({ max: 3 }),
  });
  const before = JSON.stringify(config);
  const checked = checkConfig(config as never);
  expect(checked).toMatchObject({ configuration: { server: 'host', options: { port: 1434 } }, pool: { max: 3 } });
  expect(checked).not.toHaveProperty('source');
  expect(JSON.stringify(config)).toBe(before);
  expect(calls).toBe(0);
});

test.each([
  ['a name with 2,000 blanks on both sides', `${' '.repeat(2_000)}host${' '.repeat(2_000)}`],
  ['1 MiB of blanks', ' '.repeat(1 << 20)],
  ['blanks inside', `a${' '.repeat(1 << 19)}b`],
  ['1 MiB of backslashes', '\\'.repeat(1 << 20)],
  ['1 MiB of commas', ','.repeat(1 << 20)],
  ['1 MiB of digits', `host,${'1'.repeat(1 << 20)}`],
  ['1 MiB of tcp:', 'tcp:'.repeat(1 << 18)],
])('a server of %s does not block the event loop', async (_, server) => {
  const limitMs = cpuLimitMs(50);
  const { longestMs } = await cpuMsOf(async () => {
    try {
      settingsFrom({ server, user: 'sa' });
    } catch (error) {
      expect((error as Error).message.length).toBeLessThan(200);
    }
  });
  expect(longestMs).toBeLessThan(limitMs);
});

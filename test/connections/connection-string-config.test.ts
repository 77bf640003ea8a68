import { describe, expect, test } from 'vitest';
import { configFromConnectionString } from '../../src/connections/connection-string-config.js';
import type { ConfigurationError } from '../../src/errors.js';

/** What a connection string to some server says besides its server. */
function read(text: string): object {
  const { server, options, pool, ...rest } = configFromConnectionString(`Server=host;${text}`);
  expect(server).toBe('host');
  const filled = (part: object = {}) => (Object.values(part).some((value) => value !== undefined) ? part : undefined);
  return JSON.parse(JSON.stringify({ ...rest, options: filled(options), pool: filled(pool) }));
}

test.each<[keys: string, value: string, config: object]>([
  ['User Id, UID, User', 'sa', { user: 'sa' }],
  ['Password, PWD', 'p=w', { password: 'p=w' }],
  ['Initial Catalog, Database', 'orders', { database: 'orders' }],
  ['TrustServerCertificate, Trust Server Certificate', 'yes', { options: { trustServerCertificate: true } }],
  ['HostNameInCertificate, Host Name In Certificate', 'h', { options: { serverName: 'h' } }],
  ['Connect Timeout, Connection Timeout, Timeout', '7', { connectionTimeout: 7_000 }],
  ['Command Timeout', '8', { requestTimeout: 8_000 }],
  ['Request Timeout', '9', { requestTimeout: 9 }],
  ['Max Pool Size', '12', { pool: { max: 12 } }],
  ['Min Pool Size', '0', { pool: { min: 0 } }],
  ['Load Balance Timeout, Connection Lifetime', '60', { pool: { maxAgeMillis: 60_000 } }],
  // SqlClient: 0 is its default, which here is the age at which Azure SQL asks for a token again.
  ['Load Balance Timeout, Connection Lifetime', '0', {}],
  ['Application Name, App', 'api', { options: { appName: 'api' } }],
  ['ApplicationIntent, Application Intent', 'ReadOnly', { options: { readOnlyIntent: true } }],
  ['ApplicationIntent, Application Intent', 'ReadWrite', { options: { readOnlyIntent: false } }],
  ['MultiSubnetFailover, Multi Subnet Failover', 'true', { options: { multiSubnetFailover: true } }],
  ['Packet Size', '8192', { options: { packetSize: 8192 } }],
  ['Workstation Id, WSID', 'w', { options: { workstationId: 'w' } }],
  ['Current Language, Language', 'German', { options: { language: 'German' } }],
  ['useUTC', '0', { options: { useUTC: false } }],
  ['stream', '1', { stream: true }],
  ['parseJSON', 'no', { parseJSON: false }],
])('%s=%s', (keys, value, config) => {
  for (const key of keys.split(', ')) expect(read(`${key}=${value}`), key).toEqual(config);
});

test.each<[value: string, encrypt: unknown]>([
  ['true', true],
  ['Yes', true],
  ['1', true],
  ['Mandatory', true],
  ['False', false],
  ['no', false],
  ['0', false],
  ['Optional', false],
  ['Strict', 'strict'],
])('Encrypt=%s', (value, encrypt) => {
  expect(read(`Encrypt=${value}`)).toEqual({ options: { encrypt } });
});

test.each<[value: string, config: object]>([
  ['host', { server: 'host' }],
  ['tcp:host', { server: 'host' }],
  ['TCP: host , 1434 ', { server: 'host', port: 1434 }],
  ['host,1434', { server: 'host', port: 1434 }],
  ['host\\instance', { server: 'host', options: { instanceName: 'instance' } }],
  ['host \\ instance ', { server: 'host', options: { instanceName: 'instance' } }],
  ['host\\instance,1434', { server: 'host', port: 1434, options: {} }],
  ['.', { server: 'localhost' }],
  ['(local)', { server: 'localhost' }],
  ['(LocalDB)', { server: 'localhost' }],
  ['(.)', { server: 'localhost' }],
  ['.\\sqlexpress', { server: 'localhost', options: { instanceName: 'sqlexpress' } }],
  ['.contoso.example', { server: '.contoso.example' }],
  ['my(local)', { server: 'my(local)' }],
  ['(local)x', { server: '(local)x' }],
])('Server=%s', (value, config) => {
  for (const key of ['Server', 'Data Source', 'Address', 'Addr', 'Network Address']) {
    expect(configFromConnectionString(`${key}=${value}`)).toEqual({ options: {}, pool: {}, ...config });
  }
});

test.each(['np:\\\\host\\pipe', 'LPC:host', 'admin:host'])('Server=%s cannot be reached with TCP', (value) => {
  expect(() => configFromConnectionString(`Server=${value}`)).toThrow(/must use TCP/);
});

test('a host may contain the name of a protocol; no server at all is reported later', () => {
  expect(configFromConnectionString('Server=my-admin.host').server).toBe('my-admin.host');
  expect(configFromConnectionString('User Id=sa').server).toBe('');
});

test.each(['host,', 'host,port', ',1433', 'host,1433x', 'a\\b\\c,d'])('Server=%s is not a server', (value) => {
  expect(() => configFromConnectionString(`Server=${value}`)).toThrow(
    "'server' must be a host name, host,port or host\\instance.",
  );
});

test('a user in a Windows domain', () => {
  expect(read('User Id=CONTOSO\\ada')).toEqual({ domain: 'CONTOSO', user: 'ada' });
  expect(read('User Id=\\ada')).toEqual({ user: '\\ada' });
  expect(read('User Id=ada\\')).toEqual({ user: 'ada\\' });
});

test.each([
  ['TrustServerCertificate=maybe', "Connection string: 'trustservercertificate' must be true or false."],
  ['Encrypt=untrue', "Connection string: 'encrypt' must be true or false."],
  ['Encrypt=11', "Connection string: 'encrypt' must be true or false."],
  ['Encrypt=00', "Connection string: 'encrypt' must be true or false."],
  ['Encrypt=falsely', "Connection string: 'encrypt' must be true or false."],
  ['Max Pool Size=ten', "Connection string: 'max pool size' must be a whole number."],
  ['Max Pool Size=1.5', "Connection string: 'max pool size' must be a whole number."],
  ['Max Pool Size=-1', "Connection string: 'max pool size' must be a whole number."],
  ['Connect Timeout=5s', "Connection string: 'connect timeout' must be a whole number."],
])('%s is refused without quoting its value', (text, message) => {
  expect(() => read(text)).toThrow(expect.objectContaining({ code: 'ERR_CONFIGURATION', message }));
});

test('keys of SqlClient without a counterpart are accepted', () => {
  const keys = [
    'Asynchronous Processing, Async, Extended Properties, Initial File Name, ConnectRetryCount, Connect Retry Count',
    'ConnectRetryInterval, Connect Retry Interval, Enlist, Failover Partner SPN',
    'FailoverPartnerSPN, Server SPN, ServerSPN, IP Address Preference, IPAddressPreference, MultipleActiveResultSets',
    'Multiple Active Result Sets, Network Library, Network, Net, Persist Security Info, PersistSecurityInfo',
    'PoolBlockingPeriod, Pool Blocking Period, Replication, Transaction Binding',
    'TransparentNetworkIPResolution, Transparent Network IP Resolution, Type System Version, MSI Endpoint, MSI Secret',
  ];
  for (const key of keys.join(', ').split(', ')) expect(read(`${key}=x`), key).toEqual({});
});

test.each([
  'Pooling=False',
  'Failover Partner=other',
  'Column Encryption Setting=Enabled',
  'Enclave Attestation Url=https://x',
  'Integrated Security=SSPI',
  'Trusted_Connection=yes',
  'Context Connection=true',
  'User Instance=true',
  'AttachDBFilename=x.mdf',
  'ServerCertificate=x.cer',
])('%s is refused with what to do instead, not dropped', (text) => {
  expect(() => read(text)).toThrow(
    expect.objectContaining({ message: expect.stringContaining('is not supported'), hint: expect.any(String) }),
  );
});

test('values of those keys that have no effect are accepted', () => {
  for (const text of [
    'Pooling=True',
    'Column Encryption Setting=Disabled',
    'Integrated Security=false',
    'Failover Partner=',
  ]) {
    expect(read(text), text).toEqual({});
  }
});

test.each(['Pasword=hunter2', 'Server=h;Password=hun;ter2=x', 'mssql:hunter2', 'hunter2'])(
  'a string of unknown shape (%s) is refused without its parts',
  (text) => {
    const error = catchError(() => configFromConnectionString(text));
    expect(error).toMatchObject({ code: 'ERR_CONFIGURATION' });
    expect(`${error.message} ${error.hint}`).not.toMatch(/hunter2|ter2/);
  },
);

describe('a password', () => {
  test.each([
    ['in braces, as mssql reads it', '{a;b}', 'a;b'],
    ['in braces with a brace inside', '{a}}b}', 'a}b'],
    ['with braces inside', 'a{b}c', 'a{b}c'],
    ['that begins with a brace', '{ab', '{ab'],
    ['with braces around a part of it', '{a}b', '{a}b'],
    ['in double quotes', '"{ab}"', '{ab}'],
  ])('%s', (_, text, password) => {
    expect(configFromConnectionString(`Server=h;Password=${text};Database=d`)).toMatchObject({
      password,
      database: 'd',
    });
  });
});

describe('a URL', () => {
  test('is read with its query settings', () => {
    expect(
      configFromConnectionString('mssql://app:p%40ss%3Bw%22d@db.example.com:1434/sales?encrypt=true&Max Pool Size=5'),
    ).toMatchObject({
      server: 'db.example.com',
      port: 1434,
      user: 'app',
      password: 'p@ss;w"d',
      database: 'sales',
      options: { encrypt: true },
      pool: { max: 5 },
    });
  });

  test.each<[url: string, config: object]>([
    ['mssql://host', { server: 'host' }],
    [' mssql://host/ ', { server: 'host' }],
    ['mssql://[::1]:1434', { server: '::1', port: 1434 }],
    ['mssql://sa@host', { server: 'host', user: 'sa' }],
    ['mssql://:p%22w@host/a%20b', { server: 'host', password: 'p"w', database: 'a b' }],
  ])('%s says no more than it says', (url, config) => {
    const read = configFromConnectionString(url);
    expect(read).toMatchObject(config);
    expect(Object.keys(read).sort()).toEqual(
      [...new Set(['options', 'pool', 'server', ...Object.keys(config)])].sort(),
    );
  });

  test('may name a credential', () => {
    const { authentication, server } = configFromConnectionString(
      'mssql://db/x?authentication=active directory default',
    );
    expect([server, typeof authentication]).toEqual(['db', 'string']);
  });

  test.each([
    'sqlserver://app:hunter2@host:1433;database=x',
    'postgres://app:hunter2@host/db',
    'mssql://app:hunter2@ho st/db',
    'mssql://app:%zzhunter2@host/db',
    'mssql://app:hunter2@host:99999/db',
    'mssql://app@/db?hunter2=x',
    'mssql://host/db?hunter2=x',
    'mssql://host/db?%00hunter2=x',
  ])('that cannot be used (%s) is refused without its parts', (url) => {
    const error = catchError(() => configFromConnectionString(url));
    expect(error).toMatchObject({ code: 'ERR_CONFIGURATION' });
    expect(`${error.message} ${error.hint} ${error.stack} ${error.cause}`).not.toMatch(/hunter2/);
  });
});

function catchError(run: () => unknown): ConfigurationError {
  try {
    run();
  } catch (error) {
    return error as ConfigurationError;
  }
  throw new Error('nothing was thrown');
}

test('keys that determine who signs in are left to the credential, which reads the same text', () => {
  const text = 'Server=host;Client Id=c;Client Secret=s;Tenant Id=t;Token=x;Access Token=y;User Id=ada';
  for (const method of [
    'Active Directory Default',
    'ActiveDirectoryServicePrincipal',
    'azure-active-directory-default',
  ]) {
    const whole = `${text};Authentication=${method}`;
    expect(configFromConnectionString(whole)).toMatchObject({ authentication: whole, user: 'ada' });
  }
  for (const method of ['Sql Password', 'SqlPassword', 'Not Specified', 'NTLM']) {
    expect(configFromConnectionString(`${text};Authentication=${method}`)).not.toHaveProperty('authentication');
  }
  expect(configFromConnectionString(text)).not.toHaveProperty('authentication');
});

test.each([
  'Database=d Password=hunter2',
  'User ID=u,Pwd = hunter2',
  'App=a&Client Secret=hunter2',
  'Database=d\nPWD=hunter2',
])('a secret inside the value of another key (%j) is refused, because that value would be printed', (text) => {
  const read = () => configFromConnectionString(`Server=host;${text};Encrypt=true`);
  expect(read).toThrow(/^Connection string: a semicolon is missing inside the value of '(database|user id|app)'\.$/);
});

test('a password may contain what looks like a key', () => {
  expect(read('Password="a;pwd=b password=c"')).toEqual({ password: 'a;pwd=b password=c' });
});

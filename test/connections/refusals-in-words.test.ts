import { expect, test } from 'vitest';
import { checkConfig, refuseReadOnly } from '../../src/connections/check-config.js';
import { placeholderCredential } from '../../src/connections/placeholder-credential.js';
import { settingsFrom } from '../../src/connections/settings.js';
import type { ConfigurationError } from '../../src/errors.js';

/** The sentence that the user sees, and the hint below it. */
function refusal(config: unknown): string {
  return inWords(() => settingsFrom(config as string));
}

function inWords(refused: () => unknown): string {
  try {
    refused();
  } catch (error) {
    const { code, message, hint } = error as ConfigurationError;
    return `${code}: ${message}${hint === undefined ? '' : `\n  ${hint}`}`;
  }
  return 'accepted';
}

test('config object', () => {
  const login = { server: 'host', user: 'sa', password: 'secret' };
  const refusals = [
    [],
    undefined,
    { ...login, server: undefined },
    { ...login, server: 42 },
    { ...login, server: 'np:host' },
    { ...login, server: 'host,1', port: 2 },
    { ...login, options: [] },
    { ...login, pool: [] },
    { ...login, port: '1433' },
    { ...login, port: 65_536 },
    { ...login, port: 1.5 },
    { ...login, options: { port: true } },
    { ...login, database: 'a\nb' },
    { ...login, options: { database: 'a\rb' } },
    { ...login, user: 42 },
    { ...login, password: 42 },
    { ...login, domain: 42 },
    { ...login, encrypt: 'true' },
    { ...login, options: { encrypt: 'False' } },
    { ...login, encrypt: 'untrue' },
    { ...login, encrypt: 'falsely' },
    { ...login, database: 42 },
    { ...login, trustServerCertificate: 'true' },
    { ...login, options: { trustServerCertificate: 1 } },
    { ...login, strictExpiry: 'FALSE' },
    { ...login, validateConnection: 'true' },
    { ...login, validateConnection: 'sockets' },
    { ...login, scope: '' },
    { ...login, beforeConnect: 'hook' },
    { ...login, pool: { validate: 'true' } },
    { ...login, tedious: {} },
    { ...login, encrypt: true, options: { encrypt: false } },
    { ...login, databse: 'orders' },
    { ...login, options: { instanceName: 'a b' } },
    { ...login, connectionTimeout: '15000' },
    { ...login, connectionTimeout: 0.5 },
    { ...login, requestTimeout: '15000' },
    { ...login, requestTimeout: Number.NaN },
    { server: 'host' },
    { server: 'host', authentication: { getToken() {} }, encrypt: false },
    { server: 'host', authentication: { type: 'token-credential', options: { credential: placeholderCredential() } } },
    { ...login, pool: { maximum: 3 } },
    { ...login, pool: { maxx: 3 } },
    { ...login, pool: { maxOpening: -1 } },
    { ...login, pool: { min: '3' } },
    { ...login, pool: { idleTimeoutMillis: '3' } },
    { ...login, pool: { leakDetectionMillis: -1 } },
    { ...login, pool: { leakDetectionMillis: '1' } },
    { acquire() {}, release() {} },
    { run() {}, current: {} },
    { run() {} },
    { current: {} },
    { acquire() {} },
    { release() {} },
  ].map(refusal);
  expect(`\n${refusals.join('\n')}\n`).toMatchInlineSnapshot(`
    "
    ERR_CONFIGURATION: The config must be an mssql config object or a connection string.
    ERR_CONFIGURATION: The config must be an mssql config object or a connection string.
    ERR_CONFIGURATION: 'server' is missing: set it to the host name of the SQL Server.
    ERR_CONFIGURATION: 'server' must be a host name, host,port or host\\instance.
    ERR_CONFIGURATION: 'server' must use TCP; named pipes, shared memory and DAC are not supported.
    ERR_CONFIGURATION: 'port' and the port in 'server' differ; give one of them.
    ERR_CONFIGURATION: 'options' must be an object.
    ERR_CONFIGURATION: 'pool' must be an object.
    ERR_CONFIGURATION: 'port' must be a number from 1 to 65535.
      It is text: convert it with Number(...).
    ERR_CONFIGURATION: 'port' must be a number from 1 to 65535.
    ERR_CONFIGURATION: 'port' must be a number from 1 to 65535.
    ERR_CONFIGURATION: 'options.port' must be a number from 1 to 65535.
    ERR_CONFIGURATION: 'database' must be a name without line breaks.
    ERR_CONFIGURATION: 'options.database' must be a name without line breaks.
    ERR_CONFIGURATION: 'user' must be text.
    ERR_CONFIGURATION: 'password' must be text.
    ERR_CONFIGURATION: 'domain' must be text.
    ERR_CONFIGURATION: 'encrypt' must be true, false or 'strict'.
      It is text: compare it, e.g. text === 'true'.
    ERR_CONFIGURATION: 'options.encrypt' must be true, false or 'strict'.
      It is text: compare it, e.g. text === 'true'.
    ERR_CONFIGURATION: 'encrypt' must be true, false or 'strict'.
    ERR_CONFIGURATION: 'encrypt' must be true, false or 'strict'.
    ERR_CONFIGURATION: 'database' must be a name without line breaks.
    ERR_CONFIGURATION: 'trustServerCertificate' must be true or false.
      It is text: compare it, e.g. text === 'true'.
    ERR_CONFIGURATION: 'options.trustServerCertificate' must be true or false.
    ERR_CONFIGURATION: 'strictExpiry' must be true or false.
      It is text: compare it, e.g. text === 'true'.
    ERR_CONFIGURATION: 'validateConnection' must be true, false or 'socket'.
      It is text: compare it, e.g. text === 'true'.
    ERR_CONFIGURATION: 'validateConnection' must be true, false or 'socket'.
    ERR_CONFIGURATION: 'scope' must be a string such as https://database.windows.net/.default.
    ERR_CONFIGURATION: 'beforeConnect' must be a function.
    ERR_CONFIGURATION: 'pool.validate' must be a function.
    ERR_CONFIGURATION: 'tedious' must be the tedious module: import * as tedious from 'tedious'.
    ERR_CONFIGURATION: 'encrypt' and 'options.encrypt' differ; give one of them.
    ERR_CONFIGURATION: The config has an unknown setting. Did you mean 'database'?
      Rename it, or leave it out of the config for this library.
    ERR_CONFIGURATION: 'options.instanceName' must be the name of an instance: a letter, then letters, digits, _ or $.
    ERR_CONFIGURATION: 'connectionTimeout' must be a number of ms, 1 or more.
      It is text: convert it with Number(...).
    ERR_CONFIGURATION: 'connectionTimeout' must be a number of ms, 1 or more.
    ERR_CONFIGURATION: 'requestTimeout' must be a number of ms, 0 (no limit) or more.
      It is text: convert it with Number(...).
    ERR_CONFIGURATION: 'requestTimeout' must be a number of ms, 0 (no limit) or more.
    ERR_CONFIGURATION: No login is named: set 'authentication' to a credential, or 'user' and 'password'.
    ERR_CONFIGURATION: options.encrypt is false: an access token would be sent in cleartext. Remove it or set it to true.
    ERR_CONFIGURATION: This config comes from withTokenRefresh(), which is for pools of mssql only.
      Pass the config that you gave to withTokenRefresh().
    ERR_CONFIGURATION: pool.maximum is not a setting of this pool. Its settings are max, min, idleTimeoutMillis, acquireTimeoutMillis, createTimeoutMillis, destroyTimeoutMillis, overlap, maxRenewals, maxAgeMillis, leakDetectionMillis, maxOpening, resetSession, keepaliveMillis, validate.
    ERR_CONFIGURATION: pool.maxx is not a setting of this pool. Did you mean 'pool.max'? Its settings are max, min, idleTimeoutMillis, acquireTimeoutMillis, createTimeoutMillis, destroyTimeoutMillis, overlap, maxRenewals, maxAgeMillis, leakDetectionMillis, maxOpening, resetSession, keepaliveMillis, validate.
    ERR_CONFIGURATION: pool.maxOpening must be a whole number, 0 or more.
    ERR_CONFIGURATION: pool.min must be a whole number, 0 or more.
      It is text: convert it with Number(...).
    ERR_CONFIGURATION: pool.idleTimeoutMillis must be a number of ms, more than 0.
      It is text: convert it with Number(...).
    ERR_CONFIGURATION: pool.leakDetectionMillis must be a number of ms, 0 (off) or more.
    ERR_CONFIGURATION: pool.leakDetectionMillis must be a number of ms, 0 (off) or more.
      It is text: convert it with Number(...).
    ERR_CONFIGURATION: A pool was passed where a config is needed.
      The library keeps its own pool: pass the config that your pool was created from.
    ERR_CONFIGURATION: The pools of createTokenPools() were passed where one pool or a config is needed.
      If a pool is accepted there, pass pools.current, the pool of the identity that pools.run() was called for.
    ERR_CONFIGURATION: 'server' is missing: set it to the host name of the SQL Server.
    ERR_CONFIGURATION: 'server' is missing: set it to the host name of the SQL Server.
    ERR_CONFIGURATION: 'server' is missing: set it to the host name of the SQL Server.
    ERR_CONFIGURATION: 'server' is missing: set it to the host name of the SQL Server.
    "
  `);
});

test('replica', () => {
  const refusals = ['yes', [], { host: 'h' }, { server: 1 }, { server: '' }, { database: '' }, { fallback: 'yes' }].map(
    (readOnly) => inWords(() => checkConfig({ server: 'host', user: 'sa', readOnly } as never)),
  );
  refusals.push(inWords(() => refuseReadOnly({ server: 'host', readOnly: true }, 'createTokenPools()')));
  expect(`\n${refusals.join('\n')}\n`).toMatchInlineSnapshot(`
    "
    ERR_CONFIGURATION: 'readOnly' must be true, false or an object.
    ERR_CONFIGURATION: 'readOnly' must be true, false or an object.
    ERR_CONFIGURATION: 'readOnly.host' is not a setting; known are server, database, fallback.
    ERR_CONFIGURATION: 'readOnly.server' must be a name.
    ERR_CONFIGURATION: 'readOnly.server' must be a name.
    ERR_CONFIGURATION: 'readOnly.database' must be a name.
    ERR_CONFIGURATION: 'readOnly.fallback' must be true or false.
    ERR_CONFIGURATION: 'readOnly' has no effect in createTokenPools().
      createTokenPool() and ConnectionPool take it. Elsewhere, create a second pool with options.readOnlyIntent: true.
    "
  `);
  for (const readOnly of [undefined, null, false] as never[]) {
    expect(inWords(() => refuseReadOnly({ server: 'host', readOnly }, 'createTokenPools()'))).toBe('accepted');
  }
  for (const readOnly of [
    undefined,
    null,
    true,
    false,
    {},
    { server: 'replica', database: undefined, fallback: true },
  ]) {
    expect(inWords(() => checkConfig({ server: 'host', user: 'sa', readOnly } as never))).toBe('accepted');
  }
});

test('connection string', () => {
  const refusals = [
    'Server=host;User Id=sa;Pooling=false',
    'Server=host;User Id=sa;Failover Partner=other',
    'Server=host;User Id=sa;Column Encryption Setting=enabled',
    'Server=host;User Id=sa;Attestation Protocol=HGS',
    'Server=host;Integrated Security=SSPI',
    'Server=host;User Id=sa;User Instance=true',
    'Server=host;User Id=sa;AttachDbFilename=a.mdf',
    'Server=host;User Id=sa;Server Certificate=a.cer',
    'Server=host;Database=orders Password=secret;User Id=sa',
    'Server=host;Database=orders access token =secret;User Id=sa',
    'Server=host;User Id=sa;Encrypt=maybe',
    'Server=host;User Id=sa;Packet Size=big',
    'sqlserver://host:1433;database=orders',
    'jdbc:sqlserver://host:1433',
    'sqlserver://host',
    'postgres://sa:secret@host/orders',
    'mssql://',
    'mssql:///orders',
    'mssql://sa:se%cret@host',
    'mssql://s%a:secret@host',
    'mssql://sa:secret@host/%orders',
    'mssql://sa:secret@host/orders?encrypt=true&a%3Bb=c',
    'mssql://sa:secret@host:99999',
    `mssql://sa:secret@host/${'x'.repeat(65_536)}`,
  ].map(refusal);
  for (const text of refusals) expect(text).not.toContain('secret');
  expect(`\n${refusals.join('\n')}\n`).toMatchInlineSnapshot(`
    "
    ERR_CONFIGURATION: Connection string: 'pooling' with this value is not supported.
      This is a pool: for a single connection use 'Max Pool Size=1'.
    ERR_CONFIGURATION: Connection string: 'failover partner' with this value is not supported.
      Database mirroring is not supported by tedious: use an availability group or failover group with one server name.
    ERR_CONFIGURATION: Connection string: 'column encryption setting' with this value is not supported.
      Always Encrypted is not supported by tedious.
    ERR_CONFIGURATION: Connection string: 'attestation protocol' with this value is not supported.
      Always Encrypted is not supported by tedious.
    ERR_CONFIGURATION: Connection string: 'integrated security' with this value is not supported.
      Windows logins need 'domain', 'user' and 'password'; for Microsoft Entra use 'Authentication'.
    ERR_CONFIGURATION: Connection string: 'user instance' with this value is not supported.
      It exists on SQL Server for Windows only.
    ERR_CONFIGURATION: Connection string: 'attachdbfilename' with this value is not supported.
      Name the database with 'Database'.
    ERR_CONFIGURATION: Connection string: 'server certificate' with this value is not supported.
      Trust the certificate with options.cryptoCredentialsDetails.ca, and name its host with 'HostNameInCertificate'.
    ERR_CONFIGURATION: Connection string: a semicolon is missing inside the value of 'database'.
    ERR_CONFIGURATION: Connection string: a semicolon is missing inside the value of 'database'.
    ERR_CONFIGURATION: Connection string: 'encrypt' must be true or false.
    ERR_CONFIGURATION: Connection string: 'packet size' must be a whole number.
    ERR_CONFIGURATION: Connection URL: 'sqlserver://' is the form of JDBC and Prisma, which is not supported here.
      Use mssql://user:password@host:port/database?encrypt=true, or an ADO.NET connection string: Server=host,port;Database=...;User Id=...;Password=...
    ERR_CONFIGURATION: Connection URL: 'sqlserver://' is the form of JDBC and Prisma, which is not supported here.
      Use mssql://user:password@host:port/database?encrypt=true, or an ADO.NET connection string: Server=host,port;Database=...;User Id=...;Password=...
    ERR_CONFIGURATION: Connection URL: 'sqlserver://' is the form of JDBC and Prisma, which is not supported here.
      Use mssql://user:password@host:port/database?encrypt=true, or an ADO.NET connection string: Server=host,port;Database=...;User Id=...;Password=...
    ERR_CONFIGURATION: Connection URL: only mssql:// is known.
      The form is mssql://user:password@host:port/database?encrypt=true.
    ERR_CONFIGURATION: Connection URL: the host is missing.
      The form is mssql://user:password@host:port/database?encrypt=true.
    ERR_CONFIGURATION: Connection URL: the host is missing.
      The form is mssql://user:password@host:port/database?encrypt=true.
    ERR_CONFIGURATION: Connection URL: the password is not percent-encoded correctly.
      Encode it with encodeURIComponent.
    ERR_CONFIGURATION: Connection URL: the user is not percent-encoded correctly.
      Encode it with encodeURIComponent.
    ERR_CONFIGURATION: Connection URL: the database is not percent-encoded correctly.
      Encode it with encodeURIComponent.
    ERR_CONFIGURATION: Connection URL: setting 2 of the query is not a setting of connection strings.
    ERR_CONFIGURATION: Connection URL: it cannot be read.
      The form is mssql://user:password@host:port/database?encrypt=true; reserved characters in user and password are percent-encoded (encodeURIComponent).
    ERR_CONFIGURATION: Connection URL: it cannot be read.
      The form is mssql://user:password@host:port/database?encrypt=true; reserved characters in user and password are percent-encoded (encodeURIComponent).
    "
  `);
});

import { expect, test } from 'vitest';
import { isInstanceName, namesPort, parseServerAddress } from '../../src/connections/server-address.js';

const label = 'a'.repeat(63);

test.each<[text: string, host: string, port?: number | undefined, instanceName?: string]>([
  ['db.example.com', 'db.example.com'],
  ['  tcp:db.example.com , 1433 ', 'db.example.com', 1433],
  ['host,1', 'host', 1],
  ['host,65535', 'host', 65_535],
  ['host\\SQL1', 'host', undefined, 'SQL1'],
  ['host \\ SQL1 , 1433', 'host', 1433],
  [`${' '.repeat(2_000)}host${' '.repeat(2_000)}`, 'host'],
  [`${label}.${label}.${label}`, `${label}.${label}.${label}`],
  ['192.0.2.1,1434', '192.0.2.1', 1434],
  ['[2001:db8::1],1434', '[2001:db8::1]', 1434],
  ['fe80::1%eth0', 'fe80::1%eth0'],
  ['my-tcp.example', 'my-tcp.example'],
  [`${'a.'.repeat(127)}a`, `${'a.'.repeat(127)}a`],
])('%s is a host, and perhaps a port or an instance', (text, host, port, instanceName) => {
  expect(parseServerAddress(text)).toEqual({ host, port, instanceName });
});

test.each([
  ...['host,0', 'host,65536', 'host,99999', 'host,x1', 'host,1x', 'host,', 'host,1,2', ',1433', '\\SQL1'],
  ...['host\\a\\b', `host\\${'a'.repeat(17)}`, 'host:1433', 'x/tcp:host', 'myadmin:host', `${'a'.repeat(64)}.example`],
  ...[`${'a.'.repeat(140)}a`, `[2001:db8::1]${' '.repeat(290)}x`, 42, {}, true],
])('%j is refused', (text) => {
  expect(() => parseServerAddress(text)).toThrow("'server' must be a host name, host,port or host\\instance.");
});

test.each([undefined, null, ''])('%j is a missing server', (text) => {
  expect(() => parseServerAddress(text)).toThrow("'server' is missing: set it to the host name of the SQL Server.");
});

test.each(['np:host', 'LPC:host', ' admin:host'])('%s is another protocol', (text) => {
  expect(() => parseServerAddress(text)).toThrow(
    "'server' must use TCP; named pipes, shared memory and DAC are not supported.",
  );
});

test.each<[name: unknown, isOne: boolean]>([
  ['SQL1', true],
  ['_&#$1', true],
  ['a'.repeat(16), true],
  ['a'.repeat(17), false],
  ['1SQL', false],
  ['', false],
  [['SQL1'], false],
])('%j as the name of an instance: %j', (name, isOne) => {
  expect(isInstanceName(name)).toBe(isOne);
});

// mssql would take the whole text for the name of a host.
test.each<[server: unknown, does: boolean]>([
  ['host,1433', true],
  ['tcp:host', true],
  ['  TCP:host', true],
  ['host', false],
  ['host\\SQL1', false],
  ['my-tcp:host', false],
  [undefined, false],
  [['host,1433'], false],
])('%j has a port or a protocol: %j', (server, does) => {
  expect(namesPort(server)).toBe(does);
});

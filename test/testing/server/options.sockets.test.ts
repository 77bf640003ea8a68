import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type SqlEmulatorOptions, startSqlEmulator } from '../../../src/testing/index.js';

test.each<[option: string, value: unknown]>([
  ['enforceExpiry', 'querry'],
  ['encrypt', true],
])('a word that means nothing is refused, not passed over: %s %s', async (option, value) => {
  const options = { [option]: value } as SqlEmulatorOptions;
  await expect(startSqlEmulator(options)).rejects.toThrow(`${option} is ${value}; it must be one of `);
});

test('a drain time beyond the timer limit does not cut connections at once', async () => {
  const server = await startSqlEmulator();
  const client = connect(server.port, '127.0.0.1');
  let cut = false;
  client.once('close', () => {
    cut = true;
  });
  await expect.poll(() => server.connections.open).toBe(1);
  const closing = server.close({ drainMs: 2 ** 31 });
  await sleep(100);
  expect(cut).toBe(false);
  client.destroy();
  await closing;
});

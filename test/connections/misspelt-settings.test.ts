import { expect, test } from 'vitest';
import { checkConfig } from '../../src/connections/check-config.js';

const config = { server: 'db.example.com', authentication: () => 'token' };

test.each([
  ['databse', 'database'],
  ['Database', 'database'],
  ['poll', 'pool'],
  ['autentication', 'authentication'],
  ['encypt', 'encrypt'],
  ['connectionTimout', 'connectionTimeout'],
  ['strictexpiry', 'strictExpiry'],
  ['trustServerCertficate', 'trustServerCertificate'],
])('%s is refused: %s is meant', (given, meant) => {
  expect(() => checkConfig({ ...config, [given]: 'hunter2' } as never)).toThrow(
    `The config has an unknown setting. Did you mean '${meant}'?`,
  );
});

test('a setting of pool that is misspelt gets a suggestion', () => {
  expect(() => checkConfig({ ...config, pool: { maxx: 3 } } as never)).toThrow("Did you mean 'pool.max'?");
});

test.each([
  'driver',
  'type',
  'dialect',
  'host',
  'schema',
  'logging',
  'ssl',
  'url',
  'name',
  'username',
  'userName',
  'retry',
])('%s, which libraries put beside ours, is ignored', (name) => {
  expect(() => checkConfig({ ...config, [name]: 'x' } as never)).not.toThrow();
});

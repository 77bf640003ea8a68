import { expect, test } from 'vitest';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import { withInherited } from '../../src/connections/inherited-settings.js';

const plain = { server: 'host', user: 'sa', password: 'p', options: { appName: 'api' }, pool: { max: 3 } };

/** What a copy of the config has: spreading takes own enumerable properties only. */
function copied(config: object): object {
  const { ...copy } = withInherited(config as TokenPoolConfig);
  return {
    ...copy,
    ...(copy.pool && { pool: { ...copy.pool } }),
    ...(copy.options && { options: { ...copy.options } }),
  };
}

test('a config without inherited settings is returned unchanged', () => {
  expect(withInherited(plain)).toBe(plain);
  const bare = { server: 'host' };
  expect(withInherited(bare)).toBe(bare);
});

test('settings that are layered with Object.create are not lost, and the upper layer wins', () => {
  const defaults = { server: 'host', user: 'sa', options: Object.create({ appName: 'api', useUTC: true }) };
  const config = Object.assign(Object.create(defaults), { user: 'app', pool: Object.create({ max: 3 }) });
  Object.assign(config.options, { useUTC: false });
  expect(copied(config)).toEqual({
    server: 'host',
    user: 'app',
    options: { appName: 'api', useUTC: false },
    pool: { max: 3 },
  });
});

test.each(['pool', 'options'])('only %s is layered', (key) => {
  const config = { ...plain, [key]: Object.create(plain[key as 'pool']) };
  expect(copied(config)).toEqual(plain);
  const { pool: _, options: __, ...bare } = plain;
  expect(copied({ ...bare, [key]: config[key as 'pool'] })).toEqual({ ...bare, [key]: plain[key as 'pool'] });
});

test('hidden settings are not lost: knex hides the password of its config', () => {
  const config = { ...plain };
  Object.defineProperty(config, 'password', { value: 'p', enumerable: false });
  expect(copied(config)).toEqual(plain);
});

test('getters of a class are not lost, at any level, but its constructor and methods are no settings', () => {
  class Base {
    get server(): string {
      return 'host';
    }
    get user(): string {
      return 'base';
    }
    connect(): void {}
    set ignored(_: string) {}
  }
  class Config extends Base {
    override get user(): string {
      return 'sa';
    }
    password = 'p';
  }
  expect(copied(new Config())).toEqual({ server: 'host', user: 'sa', password: 'p' });
});

test('the config of the application stays as it was, and its copy may be changed', () => {
  const config = Object.freeze(Object.create({ server: 'host', user: 'sa' }));
  const own = withInherited(config) as { user?: string };
  own.user = 'app';
  expect(own.user).toBe('app');
  delete own.user;
  expect([Object.keys(own), config.user]).toEqual([['server'], 'sa']);
});

test('a copy is of the same class', () => {
  class Config {
    get server(): string {
      return 'host';
    }
  }
  expect(withInherited(new Config() as TokenPoolConfig)).toBeInstanceOf(Config);
});

test.each([null, undefined, 'Server=host'])('%j is returned unchanged, to be refused later', (config) => {
  expect(withInherited(config as never)).toBe(config);
  expect(withInherited({ ...plain, pool: config } as never)).toMatchObject({ server: 'host' });
});

test('an array is not a settings object', () => {
  const pool: number[] = [];
  expect(withInherited({ ...plain, pool } as never).pool).toBe(pool);
});

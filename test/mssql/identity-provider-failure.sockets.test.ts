import { afterEach, describe, expect, test } from 'vitest';
import { CredentialError } from '../../src/index.js';
import { named } from '../support/named.js';
import { stockMssql, useEmulators, ways, withPool } from './three-ways.js';

const emulators = useEmulators();
afterEach(() => emulators.entra.heal());

const config = (overrides = {}) => emulators.server.config(overrides);

describe('the identity provider fails', () => {
  test('stock mssql gives an error without message or code', async () => {
    emulators.entra.fail({ status: 500 });
    const error = await stockMssql.open(config()).catch((e) => e);
    expect(error.message).toBe('');
    expect(error.code).toBeUndefined();
  });

  test.each(named(ways))('%s reports what the identity provider answered', async (_, way) => {
    emulators.entra.fail({ status: 500 });
    const error = await way.open(config()).catch((e) => e);
    expect(error).toBeInstanceOf(way.sql.ConnectionError);
    expect(error.code).toBe('EFEDAUTH');
    expect(error.message).not.toBe('');
    const typed = error.cause ?? error.originalError.cause;
    expect(typed).toBeInstanceOf(CredentialError);
    expect(error.message).toContain(typed.message);
    expect(typed.cause).toBeInstanceOf(Error);
    expect(emulators.server.logins.filter((login) => login.accepted)).toEqual([]);
  });

  test.each(named(ways))('%s: a slow one does not use up connectionTimeout', async (_, way) => {
    emulators.entra.fail({ delayMs: 600, count: 1 });
    const rows = await withPool(way, config({ connectionTimeout: 400 }), (pool) => pool.query('SELECT 1 AS ok'));
    expect(rows.recordset).toEqual([{ ok: 1 }]);
  });

  test.each(named(ways))('%s: a pool with a valid token does not notice', async (_, way) => {
    await withPool(way, config(), async (pool) => {
      emulators.entra.fail({ hang: true });
      const results = await Promise.all(Array.from({ length: 10 }, () => pool.query('SELECT 1 AS ok')));
      expect(results).toHaveLength(10);
    });
  });
});

import { describe, expect, test } from 'vitest';
import { startEntraEmulator, startSqlEmulator } from '../../src/testing/index.js';
import { named } from '../support/named.js';
import { stockMssql, ways, withPool } from './three-ways.js';

describe('a server that does not encrypt although it was asked to', () => {
  test.each(['off', 'not-supported'] as const)(
    '(%s) gets the token from stock mssql on tedious 19, and from none of ours',
    async (encrypt) => {
      await using entra = await startEntraEmulator();
      await using server = await startSqlEmulator({ entra, encrypt });
      for (const way of ways) {
        const error = await way.open(server.config()).catch((e) => e);
        expect(error, way.name).toBeInstanceOf(way.sql.ConnectionError);
        expect(error.message, way.name).toMatch(/encrypt/i);
      }
      // `eyJ` begins every JSON web token, here in UTF-16 as TDS sends it.
      const token = Buffer.from('eyJ', 'utf16le');
      expect(server.receivedInClear.includes(token)).toBe(false);
      expect(server.logins.filter((login) => login.tokenExpiry !== undefined)).toEqual([]);

      await stockMssql
        .open(server.config())
        .then((pool) => pool.close())
        .catch(() => {});
      const { version } = await import('tedious/package.json', { with: { type: 'json' } }).then((json) => json.default);
      if (version.startsWith('19.')) expect(server.receivedInClear.includes(token)).toBe(true);
    },
  );

  test.each(named(ways))('TDS 8 (encrypt: strict) works through %s', async (_, way) => {
    await using entra = await startEntraEmulator();
    await using server = await startSqlEmulator({ entra, encrypt: 'strict' });
    const rows = await withPool(way, server.config(), (pool) => pool.query('SELECT 1 AS ok'));
    expect(rows.recordset).toEqual([{ ok: 1 }]);
    expect(server.logins.every((login) => login.strict)).toBe(true);
  });
});

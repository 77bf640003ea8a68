import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';
import sql from '../../src/mssql/index.js';

const stock = createRequire(import.meta.url)('mssql') as typeof import('mssql');
const config = () => ({ server: 'db.invalid', user: 'sa', password: 'x' });

describe('instanceof holds in both directions', () => {
  test('our pool is a ConnectionPool of mssql', () => {
    const pool = new sql.ConnectionPool(config());
    expect(pool).toBeInstanceOf(stock.ConnectionPool);
    expect(pool).toBeInstanceOf(sql.ConnectionPool);
    expect(new stock.ConnectionPool(config())).not.toBeInstanceOf(sql.ConnectionPool);
  });

  test.each(['Request', 'Transaction', 'PreparedStatement'] as const)('%s', (name) => {
    const pool = new sql.ConnectionPool(config());
    const ours = new sql[name](pool);
    const theirs = new stock[name](pool);
    for (const made of [ours, theirs]) {
      expect(made).toBeInstanceOf(sql[name]);
      expect(made).toBeInstanceOf(stock[name]);
    }
  });

  test('errors that a pool and a transaction create themselves', () => {
    const pool = new sql.ConnectionPool(config());
    expect(pool.request()).toBeInstanceOf(sql.Request);
    expect(pool.transaction()).toBeInstanceOf(sql.Transaction);
    expect(pool.transaction().request()).toBeInstanceOf(sql.Request);
  });

  test('a class that extends ours', () => {
    class Tagged extends sql.Request {
      tag = 'mine';
    }
    const pool = new sql.ConnectionPool(config());
    const request = new Tagged(pool);
    expect(request).toBeInstanceOf(Tagged);
    expect(request).toBeInstanceOf(stock.Request);
    expect(request.tag).toBe('mine');
    expect(new sql.Request(pool)).not.toBeInstanceOf(Tagged);
  });
});

import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';
import sql, * as named from '../../src/mssql/index.js';

const stock = createRequire(import.meta.url)('mssql') as typeof import('mssql') & Record<string, unknown>;

describe('mssql-token-pool/mssql has everything that mssql has', () => {
  test('as properties of the default export', () => {
    expect(Object.keys(sql).sort()).toEqual(Object.keys(stock).sort());
  });

  test('as named exports, all but the setting Promise', () => {
    const names = Object.keys(stock).filter((name) => name !== 'Promise');
    expect(Object.keys(named)).toEqual(expect.arrayContaining(names));
    for (const name of names) expect(named[name as keyof typeof named], name).toBe(sql[name as keyof typeof sql]);
  });

  test('the types, errors and constants are the same, so that values of one work with the other', () => {
    const ours = ['ConnectionPool', 'Request', 'Transaction', 'PreparedStatement'];
    const global = ['connect', 'close', 'on', 'off', 'removeListener', 'query', 'batch'];
    for (const name of Object.keys(stock).filter((key) => ![...ours, ...global].includes(key))) {
      expect(sql[name as keyof typeof sql], name).toBe(stock[name]);
    }
  });

  test('Promise is the same setting in both', () => {
    class MyPromise<T> extends Promise<T> {}
    const before = stock.Promise;
    sql.Promise = MyPromise;
    try {
      expect(stock.Promise).toBe(MyPromise);
      expect(sql.Promise).toBe(MyPromise);
    } finally {
      sql.Promise = before;
    }
  });

  test('can be spread and stubbed like mssql', () => {
    expect({ ...sql }.ConnectionPool).toBe(sql.ConnectionPool);
    const { connect } = sql;
    const stub = () => Promise.reject(new Error('stub'));
    Object.assign(sql, { connect: stub });
    expect(sql.connect).toBe(stub);
    Object.assign(sql, { connect });
  });
});

import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

/** Runs code where `mssql-token-pool` means this package, as built. */
function run(code: string, ...flags: string[]): unknown {
  const output = execFileSync(process.execPath, ['--no-warnings', ...flags, '-e', code], {
    encoding: 'utf8',
    cwd: resolve(import.meta.dirname, '../..'),
  });
  return JSON.parse(output);
}

describe('as CommonJS and as ESM', () => {
  test("require('mssql-token-pool/mssql') gives the module itself", () => {
    const seen = run(`
      const sql = require('mssql-token-pool/mssql');
      const stock = require('mssql');
      console.log(JSON.stringify({
        keys: Object.keys(sql).length === Object.keys(stock).length,
        subclass: new sql.ConnectionPool({ server: 'x' }) instanceof stock.ConnectionPool,
        noDefault: !('default' in sql),
        name: sql.ConnectionPool.name,
        same: sql === require('mssql-token-pool/mssql'),
      }));`);
    expect(seen).toEqual({ keys: true, subclass: true, noDefault: true, name: 'ConnectionPool', same: true });
  });

  test('require and import share one module, so one global pool', () => {
    const seen = run(`
      const required = require('mssql-token-pool/mssql');
      import('mssql-token-pool/mssql').then((imported) => console.log(JSON.stringify(imported.default === required)));`);
    expect(seen).toBe(true);
  });

  test('named imports work, which they do not with mssql itself', () => {
    const seen = run(
      `import sql, { ConnectionPool, Int, NVARCHAR } from 'mssql-token-pool/mssql';
       console.log(JSON.stringify([ConnectionPool === sql.ConnectionPool, Int === sql.Int, NVARCHAR === sql.NVarChar]));`,
      '--input-type=module',
    );
    expect(seen).toEqual([true, true, true]);
  });

  test('stock mssql in the same process is not affected', () => {
    const seen = run(`
      const stock = require('mssql');
      const before = Object.getOwnPropertyDescriptors(stock);
      const { ConnectionPool } = stock;
      const methods = Object.getOwnPropertyNames(ConnectionPool.prototype).map((name) => Object.getOwnPropertyDescriptor(ConnectionPool.prototype, name));
      require('mssql-token-pool/mssql');
      const after = Object.getOwnPropertyDescriptors(stock);
      const pool = new stock.ConnectionPool({ server: 'x' });
      console.log(JSON.stringify({
        module: Object.keys(after).every((name) => after[name].value === before[name].value && after[name].get === before[name].get),
        prototype: Object.getOwnPropertyNames(ConnectionPool.prototype).every((name, i) => Object.getOwnPropertyDescriptor(ConnectionPool.prototype, name).value === methods[i].value),
        request: pool.request().constructor === stock.Request,
        noParent: new stock.Request().parent === null,
      }));`);
    expect(seen).toEqual({ module: true, prototype: true, request: true, noParent: true });
  });
});

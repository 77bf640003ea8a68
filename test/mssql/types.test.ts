import type * as stock from 'mssql';
import type { Connection } from 'tedious';
import { describe, expectTypeOf, test } from 'vitest';
import sql, { type ConnectionPool, type config, type IResult, Request } from '../../src/mssql/index.js';
import { withTokenRefresh } from '../../src/mssql/with-token-refresh.js';

// Checked by `tsc`: nothing here connects.
declare const stockConfig: stock.config;
declare const credential: { getToken(): Promise<{ token: string; expiresOnTimestamp: number }> };

describe('the types fit code written for @types/mssql', () => {
  test('names are available as types and as values', () => {
    expectTypeOf<sql.ConnectionPool>().toEqualTypeOf<ConnectionPool>();
    expectTypeOf<sql.Request>().toEqualTypeOf<stock.Request>();
    expectTypeOf(Request).toEqualTypeOf<typeof stock.Request>();
    expectTypeOf<sql.IResult<{ id: number }>>().toEqualTypeOf<IResult<{ id: number }>>();
    expectTypeOf<sql.ISqlType>().toEqualTypeOf<stock.ISqlType>();
    expectTypeOf(sql.NVARCHAR).toEqualTypeOf(sql.NVarChar);
    expectTypeOf(sql.VarChar(10)).toEqualTypeOf<stock.ISqlTypeWithLength>();
  });

  test('our pool goes wherever a pool of mssql goes', () => {
    expectTypeOf<ConnectionPool>().toExtend<stock.ConnectionPool>();
    expectTypeOf<ConstructorParameters<typeof sql.Request>>().toExtend<[unknown?]>();
    expectTypeOf<(pool: ConnectionPool) => stock.Request>().toExtend<(pool: ConnectionPool) => sql.Request>();
  });

  test("a config may be mssql's, or contain any credential", () => {
    expectTypeOf<stock.config>().toExtend<config>();
    expectTypeOf<{ server: string; authentication: typeof credential }>().toExtend<sql.config>();
    const fromStock = () => sql.connect(stockConfig);
    const fromString = () => sql.connect('Server=db;Authentication=Active Directory Default');
    expectTypeOf(fromStock).returns.resolves.toExtend<ConnectionPool>();
    expectTypeOf(fromString).returns.resolves.toExtend<ConnectionPool>();
    expectTypeOf<Awaited<ReturnType<(typeof sql)['connect']>>>().toExtend<ConnectionPool>();
  });

  test('errors have number, state and hint', () => {
    expectTypeOf<sql.ConnectionError['number']>().toEqualTypeOf<number | undefined>();
    const seen = (error: unknown) => (error instanceof sql.ConnectionError ? error.hint : undefined);
    expectTypeOf(seen).returns.toEqualTypeOf<string | undefined>();
  });

  test('withTokenRefresh returns a config that mssql accepts', () => {
    const make = () => withTokenRefresh({ server: 'db', authentication: credential, pool: { max: 5 } });
    expectTypeOf(make).returns.toExtend<stock.config>();
    const fromStock = () => withTokenRefresh(stockConfig);
    expectTypeOf(fromStock).returns.toExtend<stock.config>();
    const fromString = () => withTokenRefresh('Server=db');
    expectTypeOf(fromString).returns.toExtend<stock.config>();
    expectTypeOf(make).returns.toHaveProperty('beforeConnect').toEqualTypeOf<(connection: Connection) => void>();
  });
});

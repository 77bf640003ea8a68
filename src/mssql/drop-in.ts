import type * as stock from 'mssql';
import type { DetailedConnectionError } from './connection-error.js';
import { ConnectionPool, type ConnectionPoolConfig } from './connection-pool.js';
import { GlobalPool, type Listener } from './global-pool.js';
import { type Mssql, requireMssql } from './stock.js';
import { withDefaultParent } from './with-default-parent.js';

const mssql = requireMssql();
const globalPool = new GlobalPool();
const currentPool = () => globalPool.current;

const Request = withDefaultParent(mssql.Request, currentPool);
const Transaction = withDefaultParent(mssql.Transaction, currentPool);
const PreparedStatement = withDefaultParent(mssql.PreparedStatement, currentPool);

/** The differences from mssql: the pool, and everything that uses the global pool. */
const replaced = {
  ConnectionPool,
  Request,
  Transaction,
  PreparedStatement,
  connect: globalPool.connect.bind(globalPool) as GlobalPool['connect'],
  close: globalPool.close.bind(globalPool) as GlobalPool['close'],
  on: (event: string, listener: Listener) => globalPool.on(event, listener),
  off: (event: string, listener: Listener) => globalPool.removeListener(event, listener),
  removeListener: (event: string, listener: Listener) => globalPool.removeListener(event, listener),
  query: ((...command: Parameters<stock.Request['query']>) => new Request().query(...command)) as Mssql['query'],
  batch: ((...command: Parameters<stock.Request['batch']>) =>
    new Request().batch(...command)) as stock.Request['batch'],
};

/** mssql exports its types in capitals as well (`sql.NVARCHAR`). */
type InCapitals<T> = { [Name in keyof T & string as Uppercase<Name>]: T[Name] };

/** `@types/mssql` declares `pool`, `fix` and `DRIVERS` too, which mssql 12 no longer has. */
export type Sql = Omit<Mssql, keyof typeof replaced | 'ConnectionError' | 'pool' | 'fix' | 'DRIVERS'> &
  InCapitals<Mssql['TYPES']> &
  typeof replaced & {
    readonly ConnectionError: {
      new (message: Error | string, code?: stock.MSSQL_ERROR_CODE): DetailedConnectionError;
      readonly prototype: DetailedConnectionError;
    };
    /** Names of mssql's `node:diagnostics_channel` channels. */
    readonly CHANNELS: Readonly<Record<string, string>>;
    /** Functions that convert the values of a type in results. */
    readonly valueHandler: Map<unknown, (value: unknown) => unknown>;
  };

/**
 * The mssql module with our pool in it. Every other property is the same object, and `Promise` and `valueHandler` are live, so a
 * setting made in one module applies to both. mssql itself is not modified.
 */
export const sql: Sql = Object.defineProperties({} as Sql, {
  ...Object.getOwnPropertyDescriptors(mssql),
  ...Object.getOwnPropertyDescriptors(replaced),
});

/** The types of `@types/mssql` under the same names: `sql.config`, `sql.IResult<Row>`, ... */
export declare namespace sql {
  export type config = ConnectionPoolConfig;
  export type ConnectionPool = import('./connection-pool.js').ConnectionPool;
  export type Request = stock.Request;
  export type Transaction = stock.Transaction;
  export type PreparedStatement = stock.PreparedStatement;
  export type Table = stock.Table;
  export type Connection = stock.Connection;
  export type MSSQLError = stock.MSSQLError;
  export type ConnectionError = DetailedConnectionError;
  export type RequestError = stock.RequestError;
  export type TransactionError = stock.TransactionError;
  export type PreparedStatementError = stock.PreparedStatementError;
  export type MSSQL_ERROR_CODE = stock.MSSQL_ERROR_CODE;
  export type IOptions = stock.IOptions;
  export type PoolOpts<T> = stock.PoolOpts<T>;
  export type IResult<T> = stock.IResult<T>;
  export type IBulkResult = stock.IBulkResult;
  export type IBulkOptions = stock.IBulkOptions;
  export type IProcedureResult<T> = stock.IProcedureResult<T>;
  export type IRecordSet<T> = stock.IRecordSet<T>;
  export type IColumnMetadata = stock.IColumnMetadata;
  export type IColumnOptions = stock.IColumnOptions;
  export type IColumn = stock.IColumn;
  export type ISqlType = stock.ISqlType;
  export type ISqlTypeWithNoParams = stock.ISqlTypeWithNoParams;
  export type ISqlTypeWithLength = stock.ISqlTypeWithLength;
  export type ISqlTypeWithScale = stock.ISqlTypeWithScale;
  export type ISqlTypeWithPrecisionScale = stock.ISqlTypeWithPrecisionScale;
  export type ISqlTypeWithTvpType = stock.ISqlTypeWithTvpType;
  export type ISqlTypeFactory = stock.ISqlTypeFactory;
  export type ISqlTypeFactoryWithNoParams = stock.ISqlTypeFactoryWithNoParams;
  export type ISqlTypeFactoryWithLength = stock.ISqlTypeFactoryWithLength;
  export type ISqlTypeFactoryWithScale = stock.ISqlTypeFactoryWithScale;
  export type ISqlTypeFactoryWithPrecisionScale = stock.ISqlTypeFactoryWithPrecisionScale;
  export type ISqlTypeFactoryWithTvpType = stock.ISqlTypeFactoryWithTvpType;
}

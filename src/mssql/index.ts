/**
 * `mssql-token-pool/mssql`: the mssql module, with a pool in it that never logs in with a stale token. Change
 * `from 'mssql'` to `from 'mssql-token-pool/mssql'`, or do the same with `require`; that is the whole migration.
 *
 * ```ts
 * import sql from 'mssql-token-pool/mssql';
 * const pool = await sql.connect({
 *   server: 'my-server.database.windows.net',
 *   database: 'my-database',
 *   authentication: { type: 'azure-active-directory-default', options: {} },
 * });
 * const { recordset } = await sql.query`SELECT name FROM users WHERE id = ${id}`;
 * ```
 *
 * @module mssql-token-pool/mssql
 */
import type * as stock from 'mssql';
import { sql } from './drop-in.js';

// Every name of mssql except `Promise`, which is a setting and not a value: `sql.Promise = ...`.
export type * from 'mssql';
export type { DetailedConnectionError } from './connection-error.js';
export type { ConnectionPoolConfig, ConnectionPoolConfig as config } from './connection-pool.js';
export { sql as default };

export type ConnectionPool = sql.ConnectionPool;
export type Request = stock.Request;
export type Transaction = stock.Transaction;
export type PreparedStatement = stock.PreparedStatement;
export type Table = stock.Table;
export type MSSQLError = stock.MSSQLError;
export type ConnectionError = sql.ConnectionError;
export type RequestError = stock.RequestError;
export type TransactionError = stock.TransactionError;
export type PreparedStatementError = stock.PreparedStatementError;

export const { ConnectionPool, Request, Transaction, PreparedStatement, Table } = sql;
export const { MSSQLError, ConnectionError, RequestError, TransactionError, PreparedStatementError } = sql;
export const { connect, close, query, batch, on, off, removeListener } = sql;
export const { TYPES, ISOLATION_LEVEL, CHANNELS, MAX, map, getTypeByValue, valueHandler } = sql;

export const { VarChar, NVarChar, Char, NChar, Text, NText, Xml, UniqueIdentifier } = sql;
export const { Bit, TinyInt, SmallInt, Int, Float, Real, Numeric, Decimal, SmallMoney, Money } = sql;
export const { Time, DateTime, DateTime2, DateTimeOffset, SmallDateTime } = sql;
const { Date: SqlDate, BigInt: SqlBigInt } = sql;

export { SqlBigInt as BigInt, SqlDate as Date };
export const { Binary, VarBinary, Image, Variant, TVP, UDT, Geography, Geometry } = sql;

export const { VARCHAR, NVARCHAR, CHAR, NCHAR, TEXT, NTEXT, XML, UNIQUEIDENTIFIER } = sql;
export const { BIT, TINYINT, SMALLINT, INT, BIGINT, FLOAT, REAL, NUMERIC, DECIMAL, SMALLMONEY, MONEY } = sql;
export const { DATE, TIME, DATETIME, DATETIME2, DATETIMEOFFSET, SMALLDATETIME } = sql;
export const { BINARY, VARBINARY, IMAGE, VARIANT, GEOGRAPHY, GEOMETRY } = sql;

import { once } from 'node:events';
import sql from 'mssql';
import { Connection, Request, type TYPES } from 'tedious';
import { afterEach } from 'vitest';

/** Real clients for the tests of this folder; everything opened is closed after each test, last opened first. */
const open: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

export function closing<T extends AsyncDisposable>(resource: T): T {
  open.push(async () => await resource[Symbol.asyncDispose]());
  return resource;
}

/** A connected mssql pool of one connection. */
export async function mssqlPool(config: sql.config): Promise<sql.ConnectionPool> {
  const pool = await new sql.ConnectionPool({ pool: { max: 1 }, ...config }).connect();
  open.push(() => pool.close());
  return pool;
}

interface TediousSettings {
  server: string;
  port: number;
  user?: string;
  password?: string;
  authentication?: unknown;
  database?: string;
  options: object;
}

/** An error of SQL Server as tedious's `errorMessage` event shows it. */
export interface ServerMessage {
  number: number;
  state: number;
  class: number;
  message: string;
}

/** A tedious connection that is not connected yet, with the errors the server sends it. */
export function tediousConnection(settings: TediousSettings): { connection: Connection; errors: ServerMessage[] } {
  const { server, port, user, password, authentication, database, options } = settings;
  const connection = new Connection({
    server,
    authentication: (authentication ?? { type: 'default', options: { userName: user, password } }) as never,
    options: {
      port,
      database: database ?? '',
      connectTimeout: 5000,
      // Its own retries on transient errors would repeat what a test counts.
      maxRetriesOnTransientErrors: 0,
      ...options,
    },
  });
  const errors: ServerMessage[] = [];
  connection.on('errorMessage', (error) => errors.push(error as ServerMessage));
  connection.on('error', () => {});
  open.push(async () => {
    if (connection.closed) return;
    const ended = once(connection, 'end');
    connection.close();
    await ended;
  });
  return { connection, errors };
}

/** A connected tedious connection. */
export async function tediousConnect(
  settings: TediousSettings,
): Promise<{ connection: Connection; errors: ServerMessage[] }> {
  const client = tediousConnection(settings);
  await new Promise<void>((resolve, reject) => {
    client.connection.connect((error) => (error ? reject(error) : resolve()));
  });
  return client;
}

/** The outcome of a login that must fail: tedious's error and the server's errors. */
export async function refusedLogin(settings: TediousSettings): Promise<{ error: Error; errors: ServerMessage[] }> {
  const { connection, errors } = tediousConnection(settings);
  const error = await new Promise<Error | undefined>((resolve) => connection.connect(resolve));
  if (error === undefined) throw new Error('the login was accepted');
  return { error, errors };
}

export interface Parameter {
  name: string;
  type: (typeof TYPES)[keyof typeof TYPES];
  value: unknown;
  options?: object;
}

/** Runs SQL on a tedious connection and returns the values of all rows; `batch` avoids sp_executesql. */
export function execute(
  connection: Connection,
  statement: string,
  { parameters = [], batch = false }: { parameters?: readonly Parameter[]; batch?: boolean } = {},
): Promise<unknown[][]> {
  return new Promise((resolve, reject) => {
    const rows: unknown[][] = [];
    const request = new Request(statement, (error) => (error ? reject(error) : resolve(rows)));
    for (const { name, type, value, options } of parameters) request.addParameter(name, type, value, options);
    request.on('row', (columns: { value: unknown }[]) => rows.push(columns.map((column) => column.value)));
    if (batch) connection.execSqlBatch(request);
    else connection.execSql(request);
  });
}

/** Resets the connection as a pool does between two borrowers. */
export function reset(connection: Connection): Promise<void> {
  return new Promise((resolve, reject) => {
    connection.reset((error) => (error ? reject(error) : resolve()));
  });
}

/** The error a promise rejects with. */
export async function rejection<E = Error & { number: number; state: number; class: number; code: string }>(
  promise: Promise<unknown>,
): Promise<E> {
  return await promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error) => error,
  );
}

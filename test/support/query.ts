import { type Connection, Request } from 'tedious';

/**
 * Runs a statement with sp_executesql on a raw tedious connection and returns the rows as arrays. Settings that it
 * changes end with it.
 */
export function query(connection: Connection, sql: string): Promise<unknown[][]> {
  return rowsOf(sql, (request) => connection.execSql(request));
}

/**
 * Runs one batch on a raw tedious connection and returns the rows as arrays. Settings that it changes stay in the
 * session.
 */
export function batch(connection: Connection, sql: string): Promise<unknown[][]> {
  return rowsOf(sql, (request) => connection.execSqlBatch(request));
}

function rowsOf(sql: string, send: (request: Request) => void): Promise<unknown[][]> {
  return new Promise((resolve, reject) => {
    const rows: unknown[][] = [];
    const request = new Request(sql, (error) => (error ? reject(error) : resolve(rows)));
    request.on('row', (columns: { value: unknown }[]) => rows.push(columns.map((column) => column.value)));
    send(request);
  });
}

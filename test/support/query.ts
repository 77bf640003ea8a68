import { type Connection, Request } from 'tedious';

/** Runs one batch on a raw tedious connection and gives the rows as arrays. */
export function query(connection: Connection, sql: string): Promise<unknown[][]> {
  return new Promise((resolve, reject) => {
    const rows: unknown[][] = [];
    const request = new Request(sql, (error) => (error ? reject(error) : resolve(rows)));
    request.on('row', (columns: { value: unknown }[]) => rows.push(columns.map((column) => column.value)));
    connection.execSql(request);
  });
}

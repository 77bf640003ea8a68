import { Request } from 'tedious';

/** First column of the first row, over a tedious connection. */
export function firstValue(connection, sql) {
  return new Promise((resolve, reject) => {
    let value;
    const request = new Request(sql, (error) => (error ? reject(error) : resolve(value)));
    request.on('row', (columns) => {
      value ??= (Array.isArray(columns) ? columns : Object.values(columns))[0].value;
    });
    connection.execSqlBatch(request);
  });
}

import { Request } from 'tedious';

/**
 * Runs one batch inside a transaction that is rolled back, and resolves with at most `maxRows` rows.
 *
 * The rollback undoes mistakes, not attacks: a batch may contain COMMIT. Only database permissions make it read-only.
 *
 * @throws the server's error; ETIMEOUT after `timeoutMs`
 */
export async function readRows(connection, sql, { maxRows, timeoutMs }) {
  await call((done) => connection.beginTransaction(done));
  try {
    return await batch(connection, sql, maxRows, timeoutMs);
  } finally {
    // If the batch was interrupted or ended the transaction itself, there is nothing to roll back.
    if (connection.inTransaction) await call((done) => connection.rollbackTransaction(done)).catch(() => {});
  }
}

function batch(connection, sql, maxRows, timeoutMs) {
  return new Promise((resolve, reject) => {
    const rows = [];
    let isTruncated = false;
    const request = new Request(sql, (error) => {
      if (isTruncated || !error) resolve({ rows, truncated: isTruncated });
      else reject(error);
    });
    request.setTimeout(timeoutMs);
    request.on('row', (columns) => {
      if (isTruncated) return;
      if (rows.length < maxRows)
        rows.push(Object.fromEntries(columns.map(({ metadata, value }) => [metadata.colName, value])));
      else {
        isTruncated = true;
        connection.cancel();
      }
    });
    connection.execSqlBatch(request);
  });
}

function call(run) {
  return new Promise((resolve, reject) => run((error) => (error ? reject(error) : resolve())));
}

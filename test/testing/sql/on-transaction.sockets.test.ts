import sql from 'mssql';
import { expect, test } from 'vitest';
import { startSqlEmulator } from '../../../src/testing/index.js';
import { closing, mssqlPool } from '../sql-clients.js';

test('onTransaction is called for transactions and savepoints, from SQL and from requests, and for rollbacks by a lost connection', async () => {
  const events: string[] = [];
  const server = closing(
    await startSqlEmulator({ onTransaction: ({ kind, name }) => events.push(name === '' ? kind : `${kind} ${name}`) }),
  );
  const pool = await mssqlPool(server.config());
  await pool.request().batch('BEGIN TRAN; SAVE TRAN here; ROLLBACK TRAN here; BEGIN TRAN; COMMIT; COMMIT');
  const transaction = new sql.Transaction(pool);
  await transaction.begin();
  await transaction.rollback();
  expect(events).toEqual(['begin', 'save here', 'rollback here', 'commit', 'begin', 'rollback']);

  events.length = 0;
  await pool.request().batch('BEGIN TRAN');
  server.dropConnections();
  await expect.poll(() => events).toEqual(['begin', 'rollback']);
});

import sql from 'mssql';
import { expect, test } from 'vitest';
import { startSqlEmulator } from '../../../src/testing/index.js';
import { closing, mssqlPool } from '../sql-clients.js';

test('onTransaction is told of transactions and savepoints, whoever makes them, and of those a lost connection rolls back', async () => {
  const told: string[] = [];
  const server = closing(
    await startSqlEmulator({ onTransaction: ({ kind, name }) => told.push(name === '' ? kind : `${kind} ${name}`) }),
  );
  const pool = await mssqlPool(server.config());
  await pool.request().batch('BEGIN TRAN; SAVE TRAN here; ROLLBACK TRAN here; BEGIN TRAN; COMMIT; COMMIT');
  const transaction = new sql.Transaction(pool);
  await transaction.begin();
  await transaction.rollback();
  expect(told).toEqual(['begin', 'save here', 'rollback here', 'commit', 'begin', 'rollback']);

  told.length = 0;
  await pool.request().batch('BEGIN TRAN');
  server.dropConnections();
  await expect.poll(() => told).toEqual(['begin', 'rollback']);
});

import { Sequelize } from 'sequelize';
import { expect, test } from 'vitest';
import { HostileServer } from './server.js';

test('even without this library, Sequelize waits in close() for a request whose answer never ends', async () => {
  await using server = await HostileServer.start();
  server.misbehaveAt('response', () => {});
  const options = { encrypt: true, trustServerCertificate: true, requestTimeout: 200, port: server.port };
  const sequelize = new Sequelize('app', 'user', 'password', {
    dialect: 'mssql',
    host: 'localhost',
    dialectOptions: { options },
    databaseVersion: '16.0.0',
    logging: false,
  } as never);
  let settled = 'nothing';
  const query = sequelize.query('SELECT 1').finally(() => {
    settled = 'the request';
  });
  query.catch(() => {});
  await expect.poll(() => server.open, { timeout: 10_000 }).toBe(1);
  const closed = sequelize.close().finally(() => {
    settled = 'close()';
  });
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  // If this fails, tedious or Sequelize has limited the wait, and the known limit can be removed.
  expect(settled).toBe('nothing');
  await server[Symbol.asyncDispose]();
  await expect(query).rejects.toThrow();
  await closed;
}, 60_000);

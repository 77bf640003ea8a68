import { expect, test } from 'vitest';
import { ConnectionPool } from '../../src/mssql/index.js';
import { startEntraEmulator, startSqlEmulator } from '../../src/testing/index.js';

test("server: 'host,port' reaches the server, although mssql puts a port of its own into the config", async () => {
  await using entra = await startEntraEmulator();
  await using server = await startSqlEmulator({ entra });
  const { port: _, ...reach } = server.config();
  for (const name of [`localhost,${server.port}`, `tcp:localhost,${server.port}`, `localhost\\sales,${server.port}`]) {
    const config = { ...reach, server: name, authentication: entra.credential() };
    const pool = await new ConnectionPool(config as never).connect();
    await pool.close();
  }
  expect(server.logins).toHaveLength(3);
});

test('reports a port that differs from the one in the server name', async () => {
  const pool = new ConnectionPool({ server: 'localhost,1533', port: 1433, user: 'u', password: 'p' });
  await expect(pool.connect()).rejects.toThrow(/differ/);
});

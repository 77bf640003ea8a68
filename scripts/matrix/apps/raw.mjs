import { createTokenPool } from 'mssql-token-pool';
import tedious from 'tedious';
import { config, cross } from './cross.cjs';

const pool = createTokenPool(config);
const query = () =>
  pool.use(
    (connection) =>
      new Promise((resolve, reject) => {
        connection.execSql(new tedious.Request('SELECT 1 AS one', (error) => (error ? reject(error) : resolve())));
      }),
  );
await cross({ query, close: () => pool.close() });

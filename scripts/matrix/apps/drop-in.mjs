import sql, { ConnectionPool } from 'mssql-token-pool/mssql';
import { config, cross } from './cross.cjs';

const pool = await sql.connect(config);
if (!(pool instanceof ConnectionPool)) throw new Error('two classes');
await cross({ query: () => pool.query`SELECT ${1} AS one`, close: () => pool.close() });

import sql from 'mssql';
import { withTokenRefresh } from 'mssql-token-pool';
import { config, cross } from './cross.cjs';

const pool = await sql.connect(withTokenRefresh(config));
await cross({ query: () => pool.query`SELECT ${1} AS one`, close: () => pool.close() });

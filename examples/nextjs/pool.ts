import sql from 'mssql-token-pool/mssql';

// One pool for the process. In development, Next.js reloads this file after each edit, so the pool is kept on globalThis.
const kept = globalThis as typeof globalThis & { pool?: Promise<sql.ConnectionPool> };

export function pool(): Promise<sql.ConnectionPool> {
  kept.pool ??= new sql.ConnectionPool({
    server: process.env.SQL_SERVER ?? '',
    database: process.env.SQL_DATABASE ?? '',
    authentication: { type: 'azure-active-directory-default', options: {} },
  }).connect();
  return kept.pool;
}

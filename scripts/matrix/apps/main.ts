import { createTokenPool, type TokenPoolConfig } from 'mssql-token-pool';
import sql, { type config as Config, type IResult } from 'mssql-token-pool/mssql';
import { config, cross } from './cross.cjs';

async function main(): Promise<void> {
  const raw = createTokenPool(config as TokenPoolConfig);
  await raw.close();
  const pool = await sql.connect(config as Config);
  const query = (): Promise<IResult<{ one: number }>> => pool.query<{ one: number }>`SELECT 1 AS one`;
  await cross({ query, close: () => pool.close() });
}
main();

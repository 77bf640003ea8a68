// Every subpath that needs only mssql; the ORMs' subpaths are checked with their packages.
import {
  createCredential,
  createTokenPool,
  createTokenPools,
  TokenPoolError,
  withTokenRefresh,
} from 'mssql-token-pool';
import { ConnectionPool, type config, type IResult } from 'mssql-token-pool/mssql';
import { startEntraEmulator, startSqlEmulator } from 'mssql-token-pool/testing';
import { recordTimeline } from 'mssql-token-pool/timeline';

const settings: config = {
  server: 'example.database.windows.net',
  authentication: { tenantId: 't', clientId: 'c', clientSecret: 's' },
};
export const pool: ConnectionPool = new ConnectionPool(settings);
export const rows = async (): Promise<IResult<{ one: number }>> => pool.query<{ one: number }>`SELECT 1 AS one`;
export const raw = createTokenPool({ server: 'x', authentication: createCredential({ method: 'azure-cli' }) });
export const wrapped = withTokenRefresh(settings);
export const isOurs = (error: unknown): boolean => error instanceof TokenPoolError && error.code.startsWith('ERR_');
export const kit = [startEntraEmulator, startSqlEmulator, recordTimeline, createTokenPools];

// @ts-expect-error a misspelt option
createCredential({ tenantId: 't', clientId: 'c', clientsecret: 's' });
// @ts-expect-error a misspelt option in a config
export const misspelt: config = { server: 'x', authentication: { tenantId: 't', clientId: 'c', clientSecrte: 's' } };

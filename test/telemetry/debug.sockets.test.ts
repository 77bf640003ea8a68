import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);

/** A program that opens one pooled connection, in its own process because DEBUG is read at the start. */
const PROGRAM = `
import { createTokenPool } from 'mssql-token-pool';
import { startEntraEmulator, startSqlEmulator } from 'mssql-token-pool/testing';
const entra = await startEntraEmulator();
const server = await startSqlEmulator({ entra });
const pool = createTokenPool({ ...server.config(), authentication: entra.credential() });
await pool.use(() => {});
server.failLogins({ number: 18456, state: 233, message: 'Login failed. Token is expired.', count: 1 });
pool.destroy(await pool.acquire());
await pool.use(() => {}).catch(() => {});
await pool.close();
await server.close();
await entra.close();
`;

async function stderrWith(DEBUG: string | undefined): Promise<string[]> {
  const env = { ...process.env, DEBUG, NODE_OPTIONS: '' };
  const { stderr } = await run(process.execPath, ['--input-type=module', '-e', PROGRAM], { env });
  return stderr.split('\n').filter((line) => line !== '');
}

test('DEBUG=mssql-token-pool:* prints one readable line per event, from the first one on', async () => {
  const lines = await stderrWith('mssql-token-pool:*');
  const events = lines.map((line) => line.split(' ')[1]);
  expect(events.slice(0, 4)).toEqual([
    'mssql-token-pool:pool:opened',
    'mssql-token-pool:token:requested',
    'mssql-token-pool:token:refreshed',
    'mssql-token-pool:connection:opened',
  ]);
  expect(events.at(-1)).toBe('mssql-token-pool:pool:closed');
  const opened = lines.find((line) => line.includes('connection:opened'));
  expect(opened).toMatch(
    /^\d{4}-\d\d-\d\dT[\d:.]+Z mssql-token-pool:connection:opened pool=localhost\/#1 connection=1 tokenId=\S{16} tokenExpiresOn=\S+Z duration=\d+ms$/,
  );
  const failed = lines.find((line) => line.includes('login-failed'));
  expect(failed).toContain('error=ERR_STALE_TOKEN "Login failed. Token is expired." kind=stale');
});

test('names in DEBUG include and exclude events, as in the debug package', async () => {
  const lines = await stderrWith('express:*, mssql-token-pool:connection:* -*:evicted');
  const events = new Set(lines.map((line) => line.split(' ')[1]));
  expect([...events].sort()).toEqual([
    'mssql-token-pool:connection:login-failed',
    'mssql-token-pool:connection:opened',
  ]);
});

test('prints nothing without DEBUG, or when DEBUG names other packages', async () => {
  expect(await stderrWith(undefined)).toEqual([]);
  expect(await stderrWith('express:*')).toEqual([]);
});

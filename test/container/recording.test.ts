import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type sql from 'mssql';
import { expect, test } from 'vitest';
import { startSqlEmulator, type TdsServer } from '../../src/testing/index.js';
import {
  type ConfigFor,
  DATABASES,
  observe,
  outline,
  RECORDED_STEPS,
} from '../testing/traffic/real-server/scenario.js';
import { inDatabase, useSite } from './server-under-test.js';

const site = useSite();
const RECORDING = new URL('../testing/traffic/real-server/', import.meta.url);

/** Logs in with a token, unless the scenario names a user. */
function configFor(server: TdsServer): ConfigFor {
  return ({ user, password, ...overrides }) => {
    const config = server.config(overrides);
    return (user === undefined ? config : { ...config, authentication: undefined, user, password }) as sql.config;
  };
}

test('an application sees the same from the server and from its recording', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'recording-'));
  const file = join(folder, 'recording.jsonl');
  const { first, second } = DATABASES;
  await inDatabase(site.direct(), async (pool) => {
    for (const name of [first, second]) await pool.query(`IF DB_ID('${name}') IS NULL CREATE DATABASE ${name}`);
  });
  try {
    // Values are kept, because the scenario contains no secrets; messages are redacted.
    using recording = site.gateway.recordTraffic(file, { keep: () => true });
    const real = await observe(configFor(site.gateway));
    recording.stop();
    expect(recording.skipped).toEqual([]);
    if (process.env.UPDATE_RECORDING === '1') {
      site.gateway.recordTraffic(new URL('recording.jsonl', RECORDING).pathname, { keep: () => true });
      const observed = await observe(configFor(site.gateway));
      writeFileSync(new URL('observed.json', RECORDING), `${JSON.stringify(observed, null, 2)}\n`);
    }

    await using emulator = await startSqlEmulator({
      entra: site.entra,
      replay: file,
      users: { recorded: 'Right-1' },
      databases: Object.values(DATABASES),
    });
    const replayed = await observe(configFor(emulator));
    for (const name of Object.keys(real.tedious)) {
      const compare = name in RECORDED_STEPS ? (each: typeof real.mssql = []) => each : outline;
      expect({ [name]: compare(replayed.tedious[name]) }).toEqual({ [name]: compare(real.tedious[name]) });
    }
    expect(replayed.mssql).toEqual(real.mssql);
  } finally {
    rmSync(folder, { recursive: true });
    await inDatabase(site.direct(), async (pool) => {
      for (const name of [first, second]) await pool.query(`DROP DATABASE ${name}`);
    });
  }
});

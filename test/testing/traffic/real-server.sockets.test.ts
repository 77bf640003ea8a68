import { readFileSync } from 'node:fs';
import type sql from 'mssql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type EntraEmulator,
  type SqlEmulator,
  startEntraEmulator,
  startSqlEmulator,
} from '../../../src/testing/index.js';
import {
  DATABASES,
  type Observations,
  observe,
  outline,
  RECORDED_STEPS,
  SESSION_STEPS,
} from './real-server/scenario.js';

// recording.jsonl is what the gateway recorded in front of a T-SQL server speaking TDS 7.4 (Babelfish for PostgreSQL 4.3.0,
// LOGINACK "Microsoft SQL Server" 12.0.2000), with names and messages redacted; observed.json is what tedious and mssql reported
// meanwhile. `npm run test:container` with UPDATE_RECORDING=1 writes both anew, in front of any server.
const folder = new URL('./real-server/', import.meta.url);
const replay = new URL('recording.jsonl', folder).pathname;
const real = JSON.parse(readFileSync(new URL('observed.json', folder), 'utf8')) as Observations;

let entra: EntraEmulator;
let emulator: SqlEmulator;
let replayed: Observations;

beforeAll(async () => {
  entra = await startEntraEmulator();
  emulator = await startSqlEmulator({
    entra,
    replay,
    users: { recorded: 'Right-1' },
    databases: Object.values(DATABASES),
  });
  replayed = await observe(({ user, password, ...overrides }) => {
    const config = emulator.config(overrides);
    return (user === undefined ? config : { ...config, authentication: undefined, user, password }) as sql.config;
  });
});
afterAll(async () => {
  await emulator.close();
  await entra.close();
});

describe('a client sees the same from the recorded server and from its replay:', () => {
  test.each(Object.keys(RECORDED_STEPS))('%s', (name) => {
    expect(real.tedious[name]?.length).toBeGreaterThan(0);
    expect(replayed.tedious[name]).toEqual(real.tedious[name]);
  });

  test.each([
    'a login',
    'a login to another database',
    'a login to a missing database',
    'a login with a wrong password',
  ])('%s', (name) => {
    expect(real.tedious[name]?.length).toBeGreaterThan(0);
    expect(outline(replayed.tedious[name])).toEqual(outline(real.tedious[name]));
  });

  test('an application with mssql', () => {
    expect(replayed.mssql).toEqual(real.mssql);
  });
});

describe('the emulator itself sends the events of the recorded server, in the same order, for', () => {
  test.each(Object.keys(SESSION_STEPS))('%s', (name) => {
    expect(real.tedious[name]?.length).toBeGreaterThan(0);
    expect(outline(replayed.tedious[name])).toEqual(outline(real.tedious[name]));
  });
});

test('the recording contains no name, address or text of its server', () => {
  const text = readFileSync(replay, 'utf8');
  expect(text).not.toMatch(/half way|user error|thrown|localhost|\bapp\b|password|eyJ/i);
});

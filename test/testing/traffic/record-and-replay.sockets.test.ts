import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sql from 'mssql';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  type EntraEmulator,
  type QueryAnswer,
  type SqlEmulator,
  type SqlGateway,
  startEntraEmulator,
  startSqlEmulator,
  startSqlGateway,
  type TdsServer,
} from '../../../src/testing/index.js';

const folder = mkdtempSync(join(tmpdir(), 'traffic-'));
const file = join(folder, 'traffic.jsonl');
const CARD = '4111 1111 1111 1111';

let entra: EntraEmulator;
let upstream: SqlEmulator;
let gateway: SqlGateway;
let orders = 0;

beforeAll(async () => {
  entra = await startEntraEmulator();
  upstream = await startSqlEmulator({ onQuery: answer, databases: ['shop', 'archive'], users: { app: 'Pa55-word' } });
  gateway = await startSqlGateway({ entra, upstream: { ...upstreamConfig(), user: 'app', password: 'Pa55-word' } });
});
beforeEach(() => {
  orders = 0;
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
  await entra.close();
  rmSync(folder, { recursive: true });
});

function upstreamConfig() {
  const { server, port } = upstream.config();
  return { server, port, options: { trustServerCertificate: true } };
}

/** The queries that the "real" server answers. */
function answer(text: string, parameters: Record<string, unknown>): QueryAnswer | undefined {
  if (/FROM cards/i.test(text)) return { rows: [{ id: 7, holder: 'Ada Lovelace', card: CARD }] };
  if (/EXEC total/i.test(text)) return { rowsAffected: 0, outputs: { total: 12.5 }, returnStatus: 3 };
  if (/count\(\*\) AS orders/i.test(text)) {
    orders += 1;
    return { rows: [{ orders }] };
  }
  if (/INSERT INTO cards/i.test(text)) throw duplicate(String(parameters.card));
  if (/FROM two/i.test(text)) return { rows: [{ a: 1 }], more: [{ rows: [{ b: 'x' }, { b: null }] }] };
  return undefined;
}

function duplicate(card: string): Error {
  const message = `Violation of PRIMARY KEY constraint 'PK_cards'. The duplicate key value is (${card}).`;
  return Object.assign(new Error(message), { number: 2627, class: 14 });
}

async function connected(server: TdsServer, database = 'shop'): Promise<sql.ConnectionPool> {
  return await new sql.ConnectionPool({ ...server.config(), database, pool: { max: 1 } } as sql.config).connect();
}

const EVERY_TYPE = `SELECT CAST(1 AS bit) AS c1, CAST(200 AS tinyint) AS c2, CAST(-5 AS smallint) AS c3, 70000 AS c4,
  CAST(9007199254740993 AS bigint) AS c5, CAST(-1.05 AS decimal(10, 2)) AS c6, CAST(3.1415 AS money) AS c7,
  CAST(0.25 AS float) AS c8, CAST(0.5 AS real) AS c9, N'Zoë' AS c10, CAST('text' AS varchar(10)) AS c11,
  CAST(N'long' AS nvarchar(max)) AS c12, 0xCAFE AS c13, CAST('2026-11-28' AS date) AS c14,
  CAST('23:59:59.1234567' AS time) AS c15, CAST('2026-11-28T08:00:00.5' AS datetime2) AS c16,
  CAST('2026-11-28T08:00:00' AS datetime) AS c17, CAST('2026-11-28T08:00:00+02:00' AS datetimeoffset) AS c18,
  CAST('6F9619FF-8B86-D011-B42D-00C04FC964FF' AS uniqueidentifier) AS c19, CAST(NULL AS int) AS c20,
  CAST(N'in it' AS sql_variant) AS c21`;

/** What an application does: batches, parameters, prepared statements, procedures, errors, messages. */
async function runApplication(server: TdsServer): Promise<unknown[]> {
  const pool = await connected(server);
  const seen: unknown[] = [];
  const see = (result: sql.IResult<unknown> | sql.IProcedureResult<unknown>) => {
    const { recordsets, rowsAffected, output } = result;
    seen.push({
      recordsets,
      rowsAffected,
      output,
      returnValue: 'returnValue' in result ? result.returnValue : undefined,
    });
  };
  const fails = (error: sql.RequestError) =>
    seen.push({ number: error.number, state: error.state, class: error.class, text: error.message });
  try {
    see(await pool.request().query(EVERY_TYPE));
    see(await pool.request().input('id', 7).query('SELECT * FROM cards WHERE id = @id'));
    for (let i = 0; i < 3; i += 1)
      see(await pool.request().query("SELECT count(*) AS orders FROM o WHERE day = '2026'"));
    see(await pool.request().query('SELECT * FROM two'));
    see(await pool.request().output('total', sql.Decimal(10, 2)).execute('total'));
    const prepared = new sql.PreparedStatement(pool).input('id', sql.Int);
    await prepared.prepare('SELECT * FROM cards WHERE id = @id AND 1 = 1');
    see(await prepared.execute({ id: 1 }));
    await prepared.unprepare();
    await pool.request().input('card', CARD).query('INSERT INTO cards VALUES (@card)').catch(fails);
    await pool.request().query('SELECT * FROM unknown_table').catch(fails);
    const printed: string[] = [];
    const request = pool.request();
    request.on('info', ({ message }: { message: string }) => printed.push(message));
    see(await request.batch("PRINT 'started'; SELECT 2 AS two; RAISERROR('half way', 10, 1)"));
    seen.push(printed);
    see(await pool.request().batch('USE archive; SELECT DB_NAME() AS name'));
    return seen;
  } finally {
    await pool.close();
  }
}

describe('with all values kept', () => {
  test('an application gets the same answers from the recording as from the server', async () => {
    const recording = gateway.recordTraffic(file, { keep: true });
    const fromServer = await runApplication(gateway);
    recording.stop();
    expect(recording.skipped).toEqual([]);
    expect(recording.entries).toBeGreaterThan(10);

    await using emulator = await startSqlEmulator({ entra, replay: file });
    expect(await runApplication(emulator)).toEqual(fromServer);
    const by = emulator.queries
      .filter(({ sql: text }) => !text.startsWith('set ansi'))
      .map(({ sql: text, answeredBy }) => [text.slice(0, 30), answeredBy]);
    expect(by.filter(([, who]) => who !== 'recording').map(([text]) => text)).toEqual([
      'USE archive; SELECT DB_NAME() ',
    ]);
  });

  test('changing answers to one statement are replayed in order, and again after reset()', async () => {
    using recording = gateway.recordTraffic(file, { keep: true });
    await runApplication(gateway);
    recording.stop();
    await using emulator = await startSqlEmulator({ entra, replay: file });
    const count = async (pool: sql.ConnectionPool, day: string) =>
      (await pool.request().query(`select COUNT(*)  as orders from o where day = '${day}' -- again`)).recordset[0]
        ?.orders;
    const pool = await connected(emulator);
    expect([await count(pool, 'a'), await count(pool, 'b'), await count(pool, 'c'), await count(pool, 'd')]).toEqual([
      1, 2, 3, 3,
    ]);
    await pool.close();
    emulator.reset();
    const again = await connected(emulator);
    expect(await count(again, 'e')).toBe(1);
    await again.close();
  });
});

describe('by default', () => {
  test('the file contains types, names and numbers, but no value, token or password', async () => {
    const recording = gateway.recordTraffic(file);
    await runApplication(gateway);
    await expect(connected(gateway, 'nowhere')).rejects.toMatchObject({ code: 'ELOGIN' });
    recording.stop();
    const text = readFileSync(file, 'utf8');
    for (const secret of [
      'Ada',
      CARD,
      'Lovelace',
      'Zo',
      'Pa55-word',
      '2026-11-28',
      'half way',
      '3.1415',
      '6F9619FF',
      'yv4=',
    ]) {
      expect(text).not.toContain(secret);
    }
    expect(text).not.toMatch(/eyJ[\w-]{10}/);
    expect(text).toContain('decimal(10,2)');
    expect(text).toContain('holder');

    await using emulator = await startSqlEmulator({ entra, replay: file });
    const pool = await connected(emulator);
    const { recordset } = await pool.request().input('id', 1).query('SELECT * FROM cards WHERE id = @id');
    expect(recordset).toEqual([{ id: 0, holder: 'x'.repeat(12), card: 'x'.repeat(CARD.length) }]);
    await expect(pool.request().input('card', 'new').query('INSERT INTO cards VALUES (@card)')).rejects.toMatchObject({
      number: 2627,
      message: "Violation of PRIMARY KEY constraint '...'. The duplicate key value is (...).",
    });
    await pool.close();
    await expect(connected(emulator, 'nowhere')).rejects.toMatchObject({ originalError: { code: 'ELOGIN' } });
  });

  test.each([
    ['names of columns', ['id', 'HOLDER'] as const],
    ['a function', ({ name, type }: { name: string; type: string }) => type === 'int' || name === 'holder'],
  ])('%s keep some of them', async (_, keep) => {
    using recording = gateway.recordTraffic(file, { keep });
    const pool = await connected(gateway);
    await pool.request().query('SELECT * FROM cards');
    await pool.close();
    recording.stop();
    const rows = readFileSync(file, 'utf8').match(/"holder".*?"rows":(\[\[.*?\]\])/)?.[1];
    expect(JSON.parse(rows ?? '')).toEqual([[7, 'Ada Lovelace', 'x'.repeat(CARD.length)]]);
  });
});

test('a login is replayed as recorded: version, language, messages, refusals', async () => {
  writeFileSync(
    file,
    lines(
      { format: 'mssql-token-pool/traffic', version: 1 },
      {
        login: 'shop',
        answer: [
          { environment: 1, value: 'Shop', before: 'tempdb' },
          { message: { number: 5701, state: 2, class: 0, procName: '', lineNumber: 1, text: 'into the shop' } },
          { environment: 2, value: 'Deutsch', before: '' },
          { server: 'Some SQL Server', version: '17.0.4005' },
          { rowsAffected: null },
        ],
      },
      {
        login: 'closed',
        answer: [{ message: { number: 40613, state: 1, class: 17, procName: '', lineNumber: 1, text: 'not now' } }],
      },
    ),
  );
  await using emulator = await startSqlEmulator({ entra, replay: file });
  const pool = await connected(emulator);
  expect((await pool.request().query('SELECT DB_NAME() AS name')).recordset).toEqual([{ name: 'Shop' }]);
  await pool.close();
  await expect(connected(emulator, 'closed')).rejects.toMatchObject({ message: expect.stringContaining('not now') });
});

test.each<[string, string, RegExp]>([
  ['an empty file', '', /is not a recording: its first line/],
  ['another format', '{"format":"har"}\n', /is not a recording/],
  ['a later version', lines({ format: 'mssql-token-pool/traffic', version: 2 }), /is not a recording/],
  ['a truncated line', `${lines({ format: 'mssql-token-pool/traffic', version: 1 })}{"query":"SEL`, /line 2/],
  [
    'an answer of the wrong shape',
    lines({ format: 'mssql-token-pool/traffic', version: 1 }, { query: 'x', parameters: [], answer: [7] }),
    /line 2/,
  ],
])('%s is refused before the emulator listens', async (_, content, message) => {
  writeFileSync(file, content);
  await expect(startSqlEmulator({ replay: file })).rejects.toThrow(message);
});

test('a recording that an editor saved with a byte order mark is read', async () => {
  const answer = [{ columns: [{ name: 'n', type: 'int' }], rows: [[7]] }, { rowsAffected: 1 }];
  const recording = lines(
    { format: 'mssql-token-pool/traffic', version: 1 },
    { query: 'SELECT n', parameters: [], answer },
  );
  writeFileSync(file, `\uFEFF${recording}`);
  await using emulator = await startSqlEmulator({ entra, replay: file });
  const pool = await connected(emulator);
  expect((await pool.request().query('SELECT n')).recordset).toEqual([{ n: 7 }]);
  await pool.close();
});

test('the example of the format in the documentation can be replayed', async () => {
  const page = readFileSync(new URL('../../../docs/testing-gateway.md', import.meta.url), 'utf8');
  const [, example = ''] = /```json\n(\{ "format"[\s\S]*?)```/.exec(page) ?? [];
  writeFileSync(file, example);
  await using emulator = await startSqlEmulator({ entra, replay: file });
  const pool = await connected(emulator);
  expect((await pool.request().query('SELECT * FROM orders WHERE id = 5')).recordset).toEqual([{ id: 7 }]);
  expect((await pool.request().query('SELECT DB_NAME() AS name')).recordset).toEqual([{ name: 'shop' }]);
  await pool.close();
});

test('a row that does not match its columns fails the query with the reason', async () => {
  const columns = [{ name: 'n', type: 'int' }];
  const answers = [[['seven']], [[7, 8]], [[{}]]].map((rows, i) => ({
    query: `SELECT ${'n'.repeat(i + 1)}`,
    parameters: [],
    answer: [{ columns, rows }],
  }));
  writeFileSync(file, lines({ format: 'mssql-token-pool/traffic', version: 1 }, ...answers));
  await using emulator = await startSqlEmulator({ entra, replay: file });
  const pool = await connected(emulator);
  for (const { query } of answers) {
    await expect(pool.request().query(query)).rejects.toMatchObject({
      number: 50000,
      message: /recording cannot be replayed/,
    });
  }
  await pool.close();
});

test('a recording ends with dispose, reset() or the next recording; sessions continue', async () => {
  const other = join(folder, 'other.jsonl');
  const first = gateway.recordTraffic(file);
  const pool = await connected(gateway);
  await pool.request().query('SELECT 1');
  const before = first.entries;
  {
    using second = gateway.recordTraffic(other);
    await pool.request().query('SELECT 1');
    expect([first.entries, second.entries]).toEqual([before, 0]);
  }
  await pool.request().query('SELECT 1');
  await pool.close();
  expect(readFileSync(other, 'utf8').trim().split('\n')).toHaveLength(1);
  expect(() => gateway.recordTraffic(join(folder, 'missing', 'file'))).toThrow(/ENOENT/);
});

test('a cancelled query is not recorded, but later queries are', async () => {
  using recording = gateway.recordTraffic(file, { keep: true });
  const pool = await connected(gateway);
  const request = pool.request();
  const waiting = request.query("WAITFOR DELAY '00:00:30'");
  await expect.poll(() => upstream.queries.some(({ sql: text }) => text.startsWith('WAITFOR'))).toBe(true);
  request.cancel();
  await expect(waiting).rejects.toMatchObject({ code: 'ECANCEL' });
  await pool.request().query('SELECT 41 AS after');
  await pool.close();
  recording.stop();
  const text = readFileSync(file, 'utf8');
  expect(text).not.toContain('WAITFOR');
  expect(text).toContain('[[41]]');
});

function lines(...entries: unknown[]): string {
  return `${entries.map((entry) => JSON.stringify(entry)).join('\n')}\n`;
}

import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, expect, test } from 'vitest';
import { named } from '../support/named.js';
import { stockMssql, useEmulators, ways, withPool } from './three-ways.js';

const emulators = useEmulators();
const ROWS = 2000;
const COUNT_UP = `SELECT value AS n FROM GENERATE_SERIES(1, ${ROWS})`;

describe.each(named([stockMssql, ...ways]))('streams through %s', (_, way) => {
  test('events: recordset, row, done; the connection is returned', async () => {
    await withPool(way, emulators.server.config({ pool: { max: 1 } }), async (pool) => {
      for (let round = 0; round < 2; round += 1) {
        const request = pool.request();
        request.stream = true;
        const rows: number[] = [];
        const columns: string[] = [];
        const done = new Promise((resolve, reject) => request.on('done', resolve).on('error', reject));
        request.on('recordset', (metadata: object) => columns.push(...Object.keys(metadata)));
        request.on('row', (row: { n: number }) => rows.push(row.n));
        request.query(COUNT_UP);
        await done;
        expect(columns).toEqual(['n']);
        expect(rows).toEqual(Array.from({ length: ROWS }, (_, i) => i + 1));
      }
      expect(pool.borrowed).toBe(0);
    });
  });

  test('toReadableStream with a slow reader', async () => {
    await withPool(way, emulators.server.config(), async (pool) => {
      const request = pool.request();
      const stream = request.toReadableStream({ highWaterMark: 8 });
      request.query(COUNT_UP);
      let sum = 0;
      const reader = new Writable({
        objectMode: true,
        highWaterMark: 8,
        write(row: { n: number }, _encoding, next) {
          sum += row.n;
          setImmediate(next);
        },
      });
      await pipeline(stream, reader);
      expect(sum).toBe((ROWS * (ROWS + 1)) / 2);
    });
  });

  test('cancel ends the stream and the connection can be used again', async () => {
    await withPool(way, emulators.server.config({ pool: { max: 1 } }), async (pool) => {
      const request = pool.request();
      request.stream = true;
      const outcome = new Promise<{ code?: string }>((resolve) => request.on('error', resolve));
      request.once('row', () => request.cancel());
      request.query('SELECT value AS n FROM GENERATE_SERIES(1, 1000000)');
      expect(await outcome).toMatchObject({ code: 'ECANCEL' });
      expect((await pool.query('SELECT 1 AS ok')).recordset).toEqual([{ ok: 1 }]);
    });
  });
});

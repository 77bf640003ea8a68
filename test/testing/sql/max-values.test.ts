import { expect, test } from 'vitest';
import type { Scalar, SqlType } from '../../../src/testing/tds/data-type.js';
import { MAX } from '../../../src/testing/tds/data-type.js';
import { HEADER_LENGTH } from '../../../src/testing/tds/packet.js';
import { Response } from '../../../src/testing/tds/response.js';
import { readResponse } from '../../../src/testing/tds/response-reader.js';

const PACKET_BYTES = 4096;

/** The body of a response, without the packet headers. */
function bodyOf(write: (response: Response) => void): Buffer {
  const sent: Buffer[] = [];
  const response = new Response(PACKET_BYTES, (bytes) => sent.push(bytes));
  write(response);
  response.done('done', 0, 1);
  response.end();
  const packets = Buffer.concat(sent);
  const bodies: Buffer[] = [];
  for (let at = 0; at < packets.length; at += packets.readUInt16BE(at + 2)) {
    bodies.push(packets.subarray(at + HEADER_LENGTH, at + packets.readUInt16BE(at + 2)));
  }
  return Buffer.concat(bodies);
}

/** The lengths of the chunks of the value that starts at `at` ([MS-TDS] 2.2.5.2.3, PLP_BODY). */
function chunksAt(body: Buffer, at: number): { total: number; chunks: number[] } {
  const chunks: number[] = [];
  let next = at + 8;
  for (;;) {
    const length = body.readUInt32LE(next);
    if (length === 0) return { total: Number(body.readBigUInt64LE(at)), chunks };
    chunks.push(length);
    next += 4 + length;
  }
}

const MEGABYTES_16 = 16 * 1024 * 1024;

const VALUES: [string, SqlType, Scalar, number][] = [
  ['varchar(max)', { name: 'varchar', length: MAX }, 'z'.repeat(MEGABYTES_16), MEGABYTES_16],
  ['nvarchar(max)', { name: 'nvarchar', length: MAX }, 'é🚀'.repeat(10_001), 60_006],
  ['varbinary(max)', { name: 'varbinary', length: MAX }, Buffer.alloc(16_000, 7), 16_000],
  ['xml', { name: 'xml' }, `<a>${'b'.repeat(9000)}</a>`, 18_014],
  ['text', { name: 'text' }, 'short', 5],
  ['image', { name: 'image' }, Buffer.alloc(0), 0],
];

// A client such as tedious copies an unfinished chunk once per packet: one chunk of 16 MB costs it 4096 copies of up to 16 MB.
test.each(VALUES)('a value of type %s is sent in chunks of at most 8000 bytes', (_, type, value, bytes) => {
  const body = bodyOf((response) => {
    response.columns([{ name: 'v', type }]);
    response.rowWriter([type])([value]);
  });
  const metadata = bodyOf((response) => response.columns([{ name: 'v', type }]));
  const DONE_BYTES = 13;
  const { total, chunks } = chunksAt(body, metadata.length - DONE_BYTES + 1);
  expect(total).toBe(bytes);
  expect(chunks).toHaveLength(Math.ceil(bytes / 8000));
  expect(Math.max(0, ...chunks)).toBeLessThanOrEqual(8000);
  expect(chunks.reduce((sum, length) => sum + length, 0)).toBe(bytes);
  const row = [...readResponse(body)].find((token) => token.kind === 'row');
  expect(row?.kind === 'row' && sameValue(row.values[0] as Scalar, value)).toBe(true);
});

test('an output parameter of a MAX type is sent in such chunks too', () => {
  const type: SqlType = { name: 'nvarchar', length: MAX };
  const body = bodyOf((response) => response.returnValue(0, '@v', type, 'a'.repeat(20_000)));
  const at = body.indexOf(Buffer.from('409c000000000000', 'hex'));
  expect(chunksAt(body, at)).toEqual({ total: 40_000, chunks: [8000, 8000, 8000, 8000, 8000] });
});

/** Compares without printing 16 MB. */
function sameValue(one: Scalar, other: Scalar): boolean {
  return Buffer.isBuffer(one) && Buffer.isBuffer(other) ? one.equals(other) : one === other;
}

import { ByteReader } from './byte-reader.js';
import type { Scalar, SqlType, SqlValue } from './data-type.js';
import { ProtocolError } from './packet.js';
import { readTypedValue, readWireColumn } from './wire-type.js';

/** The requests that a logged-in client can send. */

export interface RpcParameter extends SqlValue {
  /** Includes the `@`; empty for a positional parameter. */
  name: string;
  output: boolean;
}

export interface RpcRequest {
  /** Lower-case name of a system procedure that was called by number, else the name as sent. */
  procedure: string;
  parameters: RpcParameter[];
}

export type TransactionRequest =
  | { kind: 'begin'; isolationLevel: number; name: string }
  | { kind: 'commit' | 'rollback' | 'save'; name: string; beginNext: boolean };

const PROCEDURES = new Map<number, string>([
  [1, 'sp_cursor'],
  [2, 'sp_cursoropen'],
  [3, 'sp_cursorprepare'],
  [4, 'sp_cursorexecute'],
  [5, 'sp_cursorprepexec'],
  [6, 'sp_cursorunprepare'],
  [7, 'sp_cursorfetch'],
  [8, 'sp_cursoroption'],
  [9, 'sp_cursorclose'],
  [10, 'sp_executesql'],
  [11, 'sp_prepare'],
  [12, 'sp_execute'],
  [13, 'sp_prepexec'],
  [14, 'sp_prepexecrpc'],
  [15, 'sp_unprepare'],
]);

/** The SQL of a batch ([MS-TDS] 2.2.6.7). Before TDS 7.2, requests have no headers. */
export function readSqlBatch(body: Buffer, { headers = true } = {}): string {
  const reader = new ByteReader(body);
  if (headers) skipHeaders(reader);
  if (reader.remaining % 2 !== 0) throw new ProtocolError('a SQL batch has half a character');
  return reader.bytes(reader.remaining).toString('utf16le');
}

/** A procedure call ([MS-TDS] 2.2.6.6). One call per message: if a client sends several, only the first is answered. */
export function readRpc(body: Buffer, { headers = true } = {}): RpcRequest {
  const reader = new ByteReader(body);
  if (headers) skipHeaders(reader);
  const nameLength = reader.uint16();
  let procedure: string;
  if (nameLength === 0xffff) {
    const id = reader.uint16();
    const name = PROCEDURES.get(id);
    if (name === undefined) throw new ProtocolError(`there is no system procedure number ${id}`);
    procedure = name;
  } else {
    procedure = reader.ucs2(nameLength);
  }
  reader.uint16();
  const parameters: RpcParameter[] = [];
  while (reader.remaining > 0) {
    const name = reader.shortText();
    const flags = reader.uint8();
    parameters.push({ name, output: (flags & 1) !== 0, ...readTypedValue(reader) });
  }
  return { procedure, parameters };
}

export interface BulkRows {
  columns: { name: string; type: SqlType }[];
  rows: Scalar[][];
}

const BulkToken = { ColMetadata: 0x81, Row: 0xd1, NullBitmapRow: 0xd2, Done: 0xfd } as const;

/** The rows of a bulk load ([MS-TDS] 2.2.6.1), which follow an INSERT BULK statement. */
export function readBulkLoad(body: Buffer): BulkRows {
  const reader = new ByteReader(body);
  if (reader.uint8() !== BulkToken.ColMetadata) throw new ProtocolError('a bulk load must start with its columns');
  const columns = Array.from({ length: reader.uint16() }, () => readWireColumn(reader));
  const rows: Scalar[][] = [];
  for (let token = BulkToken.Done as number; reader.remaining > 0; ) {
    token = reader.uint8();
    if (token === BulkToken.Done) break;
    if (token === BulkToken.Row) rows.push(columns.map((column) => column.read(reader)));
    else if (token === BulkToken.NullBitmapRow) {
      const isNull = reader.bytes(Math.ceil(columns.length / 8));
      rows.push(columns.map((column, i) => (((isNull[i >> 3] as number) >> (i & 7)) & 1 ? null : column.read(reader))));
    } else throw new ProtocolError(`token 0x${token.toString(16)} in a bulk load`);
    if (columns.length === 0) throw new ProtocolError('a bulk load has rows without columns');
  }
  return { columns: columns.map(({ name, type }) => ({ name, type })), rows };
}

/** A transaction manager request ([MS-TDS] 2.2.6.9). */
export function readTransactionRequest(body: Buffer): TransactionRequest {
  const reader = new ByteReader(body);
  skipHeaders(reader);
  const operation = reader.uint16();
  switch (operation) {
    case 5:
      return { kind: 'begin', isolationLevel: reader.uint8(), name: readName(reader) };
    case 7:
    case 8: {
      const name = readName(reader);
      const beginNext = reader.remaining > 0 && (reader.uint8() & 1) === 1;
      return { kind: operation === 7 ? 'commit' : 'rollback', name, beginNext };
    }
    case 9:
      return { kind: 'save', name: readName(reader), beginNext: false };
    default:
      throw new ProtocolError(`transaction manager request ${operation} is not supported`);
  }
}

function readName(reader: ByteReader): string {
  return reader.bytes(reader.uint8()).toString('utf16le');
}

function skipHeaders(reader: ByteReader): void {
  const total = reader.uint32();
  if (total < 4) throw new ProtocolError(`ALL_HEADERS cannot be ${total} bytes`);
  reader.bytes(total - 4);
}

import { ByteReader } from './byte-reader.js';
import type { SqlValue } from './data-type.js';
import { ProtocolError } from './packet.js';
import { readTypedValue } from './wire-type.js';

/** The requests a logged-in client can make. */

export interface RpcParameter extends SqlValue {
  /** With its `@`; empty for a parameter by position. */
  name: string;
  output: boolean;
}

export interface RpcRequest {
  /** Lower-case name of a system procedure called by number, else the name as sent. */
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

/** The SQL of a batch ([MS-TDS] 2.2.6.7). */
export function readSqlBatch(body: Buffer): string {
  const reader = new ByteReader(body);
  skipHeaders(reader);
  if (reader.remaining % 2 !== 0) throw new ProtocolError('a SQL batch has half a character');
  return reader.bytes(reader.remaining).toString('utf16le');
}

/** A procedure call ([MS-TDS] 2.2.6.6). One call a message: clients that send several are answered on the first only. */
export function readRpc(body: Buffer): RpcRequest {
  const reader = new ByteReader(body);
  skipHeaders(reader);
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

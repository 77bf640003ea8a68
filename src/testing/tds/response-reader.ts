import { ByteReader } from './byte-reader.js';
import type { Scalar, SqlType } from './data-type.js';
import { ProtocolError } from './packet.js';
import { DoneStatus, EnvChange } from './response.js';
import { SqlServerError } from './server-error.js';
import { readTypedValue, readWireColumn, type WireColumn } from './wire-type.js';

/** A token of a response ([MS-TDS] 2.2.7). Tokens without information about the answer are skipped. */
export type ResponseToken =
  | { kind: 'columns'; columns: { name: string; type: SqlType }[] }
  | { kind: 'row'; values: Scalar[] }
  | { kind: 'message'; error: SqlServerError }
  /** `endsCall` for the end of a procedure call, which has no result of its own. */
  | { kind: 'done'; rows: number | undefined; cancelled: boolean; endsCall: boolean }
  | { kind: 'returnStatus'; status: number }
  | { kind: 'returnValue'; name: string; type: SqlType; value: Scalar }
  | { kind: 'environment'; change: number; value: string; before: string }
  | { kind: 'loginAck'; program: string; version: string };

const Token = {
  Offset: 0x78,
  ReturnStatus: 0x79,
  ColMetadata: 0x81,
  TabName: 0xa4,
  ColInfo: 0xa5,
  Order: 0xa9,
  Error: 0xaa,
  Info: 0xab,
  ReturnValue: 0xac,
  LoginAck: 0xad,
  FeatureExtAck: 0xae,
  Row: 0xd1,
  NullBitmapRow: 0xd2,
  EnvChange: 0xe3,
  SessionState: 0xe4,
  Done: 0xfd,
  DoneProc: 0xfe,
  DoneInProc: 0xff,
} as const;

const NO_METADATA = 0xffff;
const FEATURES_END = 0xff;
const TEXT_CHANGES: ReadonlySet<number> = new Set([EnvChange.Database, EnvChange.Language, EnvChange.PacketSize]);

/**
 * The tokens of one response message, for TDS 7.2 and later.
 *
 * @throws ProtocolError for a token of an unsupported feature: data classification, COMPUTE BY, JSON, vectors.
 */
export function* readResponse(body: Buffer): Generator<ResponseToken> {
  const reader = new ByteReader(body);
  let columns: WireColumn[] = [];
  while (reader.remaining > 0) {
    const id = reader.uint8();
    switch (id) {
      case Token.ColMetadata: {
        const count = reader.uint16();
        if (count === NO_METADATA) break;
        columns = Array.from({ length: count }, () => readWireColumn(reader));
        yield { kind: 'columns', columns: columns.map(({ name, type }) => ({ name, type })) };
        break;
      }
      case Token.Row:
        yield { kind: 'row', values: columns.map((column) => column.read(reader)) };
        break;
      case Token.NullBitmapRow: {
        const nulls = reader.bytes(Math.ceil(columns.length / 8));
        const isNull = (i: number): boolean => (((nulls[i >> 3] as number) >> (i & 7)) & 1) === 1;
        yield { kind: 'row', values: columns.map((column, i) => (isNull(i) ? null : column.read(reader))) };
        break;
      }
      case Token.Error:
      case Token.Info:
        yield { kind: 'message', error: readMessage(new ByteReader(reader.bytes(reader.uint16()))) };
        break;
      case Token.Done:
      case Token.DoneProc:
      case Token.DoneInProc: {
        const status = reader.uint16();
        reader.uint16();
        const rows = Number(reader.uint64());
        const counted = (status & DoneStatus.Count) !== 0;
        yield {
          kind: 'done',
          rows: counted ? rows : undefined,
          cancelled: (status & DoneStatus.Attention) !== 0,
          endsCall: id === Token.DoneProc && (status & DoneStatus.More) === 0,
        };
        break;
      }
      case Token.ReturnStatus:
        yield { kind: 'returnStatus', status: reader.int32() };
        break;
      case Token.ReturnValue: {
        reader.uint16();
        const name = reader.shortText();
        reader.bytes(1 + 4 + 2);
        yield { kind: 'returnValue', name, ...readTypedValue(reader) };
        break;
      }
      case Token.EnvChange: {
        const change = readEnvironmentChange(new ByteReader(reader.bytes(reader.uint16())));
        if (change !== undefined) yield change;
        break;
      }
      case Token.LoginAck:
        yield readLoginAck(new ByteReader(reader.bytes(reader.uint16())));
        break;
      case Token.FeatureExtAck:
        while (reader.uint8() !== FEATURES_END) reader.bytes(reader.uint32());
        break;
      case Token.SessionState:
        reader.bytes(reader.uint32());
        break;
      case Token.Offset:
        reader.bytes(4);
        break;
      case Token.TabName:
      case Token.ColInfo:
      case Token.Order:
        reader.bytes(reader.uint16());
        break;
      default:
        throw new ProtocolError(`token 0x${id.toString(16)} in a response`);
    }
  }
}

function readMessage(reader: ByteReader): SqlServerError {
  const number = reader.int32();
  const state = reader.uint8();
  const severity = reader.uint8();
  const message = reader.longText();
  reader.shortText();
  const procName = reader.shortText();
  return new SqlServerError({ number, state, class: severity, message, procName, lineNumber: reader.uint32() });
}

function readEnvironmentChange(reader: ByteReader): ResponseToken | undefined {
  const change = reader.uint8();
  if (TEXT_CHANGES.has(change)) {
    return { kind: 'environment', change, value: reader.shortText(), before: reader.shortText() };
  }
  if (change === EnvChange.Routing) return undefined;
  const value = reader.bytes(reader.uint8()).toString('hex');
  return { kind: 'environment', change, value, before: reader.bytes(reader.uint8()).toString('hex') };
}

function readLoginAck(reader: ByteReader): ResponseToken {
  reader.uint8();
  reader.uint32();
  const program = reader.shortText();
  const [major, minor] = [reader.uint8(), reader.uint8()];
  return { kind: 'loginAck', program, version: `${major}.${minor}.${reader.uint16be()}` };
}

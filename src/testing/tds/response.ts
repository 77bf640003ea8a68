import { ByteWriter } from './byte-writer.js';
import type { Scalar, SqlType } from './data-type.js';
import { isBeforeTds72, TDS_7_4 } from './login7.js';
import { isLongType, longValueWriter, writeLongTypeInfo } from './long-type.js';
import { HEADER_LENGTH, PacketStatus, PacketType, writePacketHeader } from './packet.js';
import type { ServerMessage } from './server-error.js';
import { COLLATION, valueWriter, writeTypeInfo } from './wire-type.js';

const Token = {
  ReturnStatus: 0x79,
  ColMetadata: 0x81,
  Error: 0xaa,
  Info: 0xab,
  LoginAck: 0xad,
  ReturnValue: 0xac,
  FeatureExtAck: 0xae,
  Row: 0xd1,
  EnvChange: 0xe3,
  FedAuthInfo: 0xee,
  Done: 0xfd,
  DoneProc: 0xfe,
  DoneInProc: 0xff,
} as const;

/** Status bits of a DONE token. */
export const DoneStatus = {
  More: 0x01,
  Error: 0x02,
  InTransaction: 0x04,
  Count: 0x10,
  Attention: 0x20,
  ServerError: 0x100,
} as const;

/** The three DONE tokens: for a batch, a procedure, and a statement in a procedure. */
export type DoneKind = 'done' | 'doneProc' | 'doneInProc';

const DONE_TOKENS = { done: Token.Done, doneProc: Token.DoneProc, doneInProc: Token.DoneInProc } as const;

/** Kinds of ENVCHANGE ([MS-TDS] 2.2.7.9). */
export const EnvChange = {
  Database: 1,
  Language: 2,
  PacketSize: 4,
  Collation: 7,
  BeginTransaction: 8,
  CommitTransaction: 9,
  RollbackTransaction: 10,
  ResetAck: 18,
  Routing: 20,
} as const;

export interface Column {
  name: string;
  type: SqlType;
}

/** Flags of a result column: nullable, with unknown updatability, as for any expression. */
const COLUMN_FLAGS = 0x0009;
const CURRENT_COMMAND_SELECT = 0xc1;
/** Full packets are buffered up to this size, so that rows need few writes. */
const FLUSH_BYTES = 32 * 1024;

/**
 * Writes the tokens of one response message and splits them into packets. A short response goes out in one write; a long
 * result is sent as it is produced.
 */
export class Response {
  readonly #send: (bytes: Buffer) => void;
  readonly #bodySize: number;
  readonly #spid: number;
  /** TDS version of the client, as in LOGIN7. */
  readonly tdsVersion: number;
  /** In older versions, user types, line numbers and row counts have half the size. */
  readonly beforeTds72: boolean;
  readonly #tokens = new ByteWriter(1024);
  #packetId = 0;

  /** `send` gets complete packets; their headers contain the session id. */
  constructor(packetSize: number, send: (bytes: Buffer) => void, { spid = 0, tdsVersion = TDS_7_4 } = {}) {
    this.#spid = spid;
    this.tdsVersion = tdsVersion;
    this.beforeTds72 = isBeforeTds72(tdsVersion);
    this.#send = send;
    this.#bodySize = packetSize - HEADER_LENGTH;
  }

  loginAck(tdsVersion: number, version: readonly number[], program: string): void {
    const [major = 0, minor = 0, build = 0] = version;
    const at = this.#begin(Token.LoginAck);
    this.#tokens.uint8(1).uint32be(tdsVersion).shortText(program);
    this.#tokens.uint8(major).uint8(minor).uint16be(build);
    this.#tokens.patchUint16(at);
  }

  /** FEDAUTHINFO: where to get a token, and for which resource. */
  fedAuthInfo(stsUrl: string, spn: string): void {
    const HEAD = 4 + 2 * 9;
    const sts = Buffer.from(stsUrl, 'utf16le');
    const name = Buffer.from(spn, 'utf16le');
    this.#tokens.uint8(Token.FedAuthInfo);
    const at = this.#tokens.reserveUint32();
    this.#tokens.uint32(2);
    this.#tokens.uint8(1).uint32(sts.length).uint32(HEAD);
    this.#tokens
      .uint8(2)
      .uint32(name.length)
      .uint32(HEAD + sts.length);
    this.#tokens.bytes(sts).bytes(name);
    this.#tokens.patchUint32(at);
  }

  /** FEATUREEXTACK for the requested features that this server supports. */
  featureAck(features: { fedAuth: boolean; utf8: boolean }): void {
    this.#tokens.uint8(Token.FeatureExtAck);
    if (features.fedAuth) this.#tokens.uint8(0x02).uint32(0);
    if (features.utf8) this.#tokens.uint8(0x0a).uint32(1).uint8(0);
    this.#tokens.uint8(0xff);
  }

  /** An environment change with text values. */
  envChangeText(kind: number, newValue: string, oldValue: string): void {
    const at = this.#begin(Token.EnvChange);
    this.#tokens.uint8(kind).shortText(newValue).shortText(oldValue);
    this.#tokens.patchUint16(at);
  }

  /** An environment change with binary values. */
  envChangeBytes(kind: number, newValue: Buffer, oldValue: Buffer): void {
    const at = this.#begin(Token.EnvChange);
    this.#tokens.uint8(kind).uint8(newValue.length).bytes(newValue).uint8(oldValue.length).bytes(oldValue);
    this.#tokens.patchUint16(at);
  }

  collation(): void {
    this.envChangeBytes(EnvChange.Collation, COLLATION, Buffer.alloc(0));
  }

  /** Redirects the client to another server. */
  routing(server: string, port: number): void {
    const at = this.#begin(Token.EnvChange);
    this.#tokens.uint8(EnvChange.Routing);
    const value = this.#tokens.reserveUint16();
    this.#tokens.uint8(0).uint16(port).longText(server);
    this.#tokens.patchUint16(value);
    this.#tokens.uint16(0);
    this.#tokens.patchUint16(at);
  }

  /** An ERROR token, or an INFO token if the class is 10 or less. */
  message(error: ServerMessage, serverName: string): void {
    const at = this.#begin(error.class > 10 ? Token.Error : Token.Info);
    this.#tokens.int32(error.number).uint8(error.state).uint8(error.class);
    this.#tokens.longText(error.message.slice(0, 2048)).shortText(serverName).shortText(error.procName);
    if (this.beforeTds72) this.#tokens.uint16(error.lineNumber & 0xffff);
    else this.#tokens.uint32(error.lineNumber);
    this.#tokens.patchUint16(at);
  }

  columns(columns: readonly Column[]): void {
    this.#tokens.uint8(Token.ColMetadata).uint16(columns.length);
    for (const column of columns) {
      this.#userType().uint16(COLUMN_FLAGS);
      if (this.beforeTds72 && isLongType(column.type)) writeLongTypeInfo(this.#tokens, column.type);
      else writeTypeInfo(this.#tokens, column.type);
      this.#tokens.shortText(column.name);
    }
  }

  /** A function that writes rows of these types. */
  rowWriter(types: readonly SqlType[]): (values: readonly Scalar[]) => void {
    const writers = types.map((type) =>
      this.beforeTds72 && isLongType(type) ? longValueWriter(type) : valueWriter(type),
    );
    const tokens = this.#tokens;
    return (values) => {
      tokens.uint8(Token.Row);
      for (let i = 0; i < writers.length; i += 1) {
        (writers[i] as (typeof writers)[number])(tokens, values[i] as Scalar);
      }
      if (tokens.length >= FLUSH_BYTES) this.#sendFullPackets();
    };
  }

  returnStatus(status: number): void {
    this.#tokens.uint8(Token.ReturnStatus).int32(status);
  }

  returnValue(ordinal: number, name: string, type: SqlType, value: Scalar): void {
    this.#tokens.uint8(Token.ReturnValue).uint16(ordinal).shortText(name).uint8(1);
    this.#userType().uint16(COLUMN_FLAGS);
    writeTypeInfo(this.#tokens, type);
    valueWriter(type)(this.#tokens, value);
  }

  done(kind: DoneKind, status: number, rows?: number): void {
    const counted = rows === undefined ? 0 : DoneStatus.Count;
    this.#tokens.uint8(DONE_TOKENS[kind]).uint16(status | counted);
    this.#tokens.uint16(rows === undefined ? 0 : CURRENT_COMMAND_SELECT);
    if (this.beforeTds72) this.#tokens.uint32((rows ?? 0) >>> 0);
    else this.#tokens.uint64(BigInt(rows ?? 0));
  }

  /** Ends the message and sends the rest of it. */
  end(): void {
    const body = this.#tokens.view();
    this.#send(this.#frame(body, true));
  }

  #userType(): ByteWriter {
    return this.beforeTds72 ? this.#tokens.uint16(0) : this.#tokens.uint32(0);
  }

  #begin(token: number): number {
    return this.#tokens.uint8(token).reserveUint16();
  }

  #sendFullPackets(): void {
    const body = this.#tokens.view();
    // The last packet must carry the end-of-message flag, so at least one byte is always held back.
    const full = Math.floor((body.length - 1) / this.#bodySize) * this.#bodySize;
    if (full === 0) return;
    const framed = this.#frame(body.subarray(0, full), false);
    this.#tokens.drop(full);
    this.#send(framed);
  }

  #frame(body: Buffer, last: boolean): Buffer {
    const packets = Math.max(1, Math.ceil(body.length / this.#bodySize));
    const framed = Buffer.allocUnsafe(body.length + packets * HEADER_LENGTH);
    let at = 0;
    for (let i = 0; i < packets; i += 1) {
      const from = i * this.#bodySize;
      const to = Math.min(body.length, from + this.#bodySize);
      this.#packetId = (this.#packetId + 1) & 0xff;
      const status = last && i === packets - 1 ? PacketStatus.EndOfMessage : 0;
      writePacketHeader(framed, at, PacketType.TabularResult, status, to - from, this.#packetId, this.#spid);
      body.copy(framed, at + HEADER_LENGTH, from, to);
      at += HEADER_LENGTH + to - from;
    }
    return framed;
  }
}

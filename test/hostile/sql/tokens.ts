/**
 * The few server tokens of [MS-TDS] 2.2.7 that the hostile server needs, written here a second time on purpose: promises
 * that are only checked against the library's own emulator would share the emulator's mistakes.
 */

export const Type = { Batch: 1, Rpc: 3, Result: 4, Attention: 6, FedAuth: 8, Login7: 0x10, PreLogin: 0x12 } as const;

const HEADER = 8;
const LARGEST_PACKET = 4096;

/** A message in packets of at most 4,096 bytes; without the end-of-message flag if it is to go on. */
export function packets(type: number, body: Buffer, { end = true } = {}): Buffer {
  const parts: Buffer[] = [];
  let number = 1;
  let at = 0;
  do {
    const piece = body.subarray(at, at + LARGEST_PACKET - HEADER);
    at += piece.length;
    const header = Buffer.alloc(HEADER);
    header[0] = type;
    header[1] = end && at >= body.length ? 1 : 0;
    header.writeUInt16BE(HEADER + piece.length, 2);
    header[6] = number++ & 0xff;
    parts.push(header, piece);
  } while (at < body.length);
  return Buffer.concat(parts);
}

const u8 = (value: number): Buffer => Buffer.from([value]);
const u16 = (value: number): Buffer => Buffer.from([value & 0xff, (value >> 8) & 0xff]);
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};
const ucs2 = (text: string): Buffer => Buffer.from(text, 'utf16le');
/** B_VARCHAR and US_VARCHAR count characters. */
const bVarchar = (text: string): Buffer => Buffer.concat([u8(text.length), ucs2(text)]);
const usVarchar = (text: string): Buffer => Buffer.concat([u16(text.length), ucs2(text)]);
const sized = (id: number, ...data: Buffer[]): Buffer => {
  const body = Buffer.concat(data);
  return Buffer.concat([u8(id), u16(body.length), body]);
};

export interface PreLoginAnswer {
  /** ENCRYPT_OFF 0, ENCRYPT_ON 1, ENCRYPT_NOT_SUP 2, ENCRYPT_REQ 3. */
  encryption: number;
  fedAuthRequired: boolean;
}

/** PRELOGIN answer (2.2.6.5): version, encryption, instance, thread id, MARS, FEDAUTHREQUIRED. */
export function preLogin({ encryption, fedAuthRequired }: PreLoginAnswer): Buffer {
  const options: [number, Buffer][] = [
    [0, Buffer.from([16, 0, 0, 1, 0, 0])],
    [1, u8(encryption)],
    [2, u8(0)],
    [3, Buffer.alloc(0)],
    [4, u8(0)],
  ];
  if (fedAuthRequired) options.push([6, u8(1)]);
  let offset = options.length * 5 + 1;
  const heads = options.map(([id, data]) => {
    const head = Buffer.from([id, offset >> 8, offset & 0xff, data.length >> 8, data.length & 0xff]);
    offset += data.length;
    return head;
  });
  return Buffer.concat([...heads, u8(0xff), ...options.map(([, data]) => data)]);
}

/** FEDAUTHINFO (2.2.7.12): where tokens come from and for which resource. */
export function fedAuthInfo(spn: string, stsUrl = 'https://login.microsoftonline.com/common'): Buffer {
  const texts: [number, Buffer][] = [
    [1, ucs2(stsUrl)],
    [2, ucs2(spn)],
  ];
  let offset = 4 + texts.length * 9;
  const heads = texts.map(([id, data]) => {
    const head = Buffer.concat([u8(id), u32(data.length), u32(offset)]);
    offset += data.length;
    return head;
  });
  const body = Buffer.concat([u32(texts.length), ...heads, ...texts.map(([, data]) => data)]);
  return Buffer.concat([u8(0xee), u32(body.length), body]);
}

export function loginAck(): Buffer {
  return sized(0xad, u8(1), Buffer.from([0x74, 0, 0, 4]), bVarchar('Microsoft SQL Server'), Buffer.from([16, 0, 0, 1]));
}

/** FEATUREEXTACK (2.2.7.11) that acknowledges the token. */
export function fedAuthAck(): Buffer {
  return Buffer.concat([u8(0xae), u8(2), u32(0), u8(0xff)]);
}

export function routing(server: string, port: number): Buffer {
  const value = Buffer.concat([u8(0), u16(port), usVarchar(server)]);
  return sized(0xe3, u8(20), u16(value.length), value, u16(0));
}

export function databaseChange(database: string): Buffer {
  return sized(0xe3, u8(1), bVarchar(database), bVarchar('master'));
}

export interface ServerText {
  number: number;
  state?: number;
  severity?: number;
  text: string;
  /** Names that an error carries besides its text. */
  server?: string;
  procedure?: string;
}

/** ERROR (2.2.7.10) or INFO (2.2.7.13). */
export function message(
  id: 'error' | 'info',
  { number, state = 1, severity = 14, text, server = 'hostile', procedure = '' }: ServerText,
): Buffer {
  return sized(
    id === 'error' ? 0xaa : 0xab,
    u32(number),
    u8(state),
    u8(id === 'error' ? severity : 0),
    usVarchar(text),
    bVarchar(server),
    bVarchar(procedure),
    u32(1),
  );
}

/** DONE, DONEPROC or DONEINPROC (2.2.7.6). */
export function done(id: 0xfd | 0xfe | 0xff, status = 0, rows = 0): Buffer {
  return Buffer.concat([u8(id), u16(status), u16(0xc1), u32(rows), u32(0)]);
}

/** One row with one int column. */
export function intRow(name: string, value: number): Buffer {
  const column = Buffer.concat([u32(0), u16(9), u8(0x26), u8(4), bVarchar(name)]);
  return Buffer.concat([u8(0x81), u16(1), column, u8(0xd1), u8(4), u32(value)]);
}

/** What follows the rows, in the form that the type of the request wants. */
export function endOfRows(type: number): Buffer {
  if (type !== Type.Rpc) return done(0xfd, 0x10, 1);
  const returnStatus = Buffer.concat([u8(0x79), u32(0)]);
  return Buffer.concat([done(0xff, 0x11, 1), returnStatus, done(0xfe)]);
}

/** The whole answer to a request: one row. */
export function oneRow(type: number, value: number): Buffer {
  return Buffer.concat([intRow('value', value), endOfRows(type)]);
}

/** What LOGIN7 (2.2.6.4) says of who logs in. */
export interface Login7 {
  userName: string;
  password: string;
  /** The client asks to log in with a token (FEDAUTH, library ADAL or security token). */
  fedAuth: boolean;
}

export function readLogin7(body: Buffer): Login7 {
  const text = (at: number): Buffer => {
    const offset = body.readUInt16LE(at);
    return body.subarray(offset, offset + 2 * body.readUInt16LE(at + 2));
  };
  const password = Buffer.from(text(44)).map((byte) => {
    const plain = byte ^ 0xa5;
    return ((plain << 4) | (plain >> 4)) & 0xff;
  });
  return {
    userName: text(40).toString('utf16le'),
    password: Buffer.from(password).toString('utf16le'),
    fedAuth: hasFedAuth(body),
  };
}

function hasFedAuth(body: Buffer): boolean {
  const extensionUsed = ((body[27] ?? 0) & 0x10) !== 0;
  if (!extensionUsed) return false;
  let at = body.readUInt32LE(body.readUInt16LE(56));
  while (at < body.length && body[at] !== 0xff) {
    if (body[at] === 2) return true;
    at += 5 + body.readUInt32LE(at + 1);
  }
  return false;
}

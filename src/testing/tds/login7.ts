import { ByteReader } from './byte-reader.js';
import { ByteWriter } from './byte-writer.js';
import { ProtocolError } from './packet.js';

/** The authentication method of a LOGIN7. */
export type LoginProof =
  | { kind: 'sql'; userName: string; password: string }
  /** The token is in LOGIN7 itself (`azure-active-directory-access-token`). */
  | { kind: 'security-token'; token: string }
  /** The server answers with FEDAUTHINFO, then the client sends the token (every other Entra method). */
  | { kind: 'adal' }
  | { kind: 'integrated' };

/** The fields of LOGIN7 ([MS-TDS] 2.2.6.4) used here. */
export interface Login7 {
  tdsVersion: number;
  packetSize: number;
  hostName: string;
  appName: string;
  serverName: string;
  library: string;
  language: string;
  database: string;
  readOnlyIntent: boolean;
  utf8: boolean;
  fedAuthEcho: boolean;
  proof: LoginProof;
  /** The client's own data: versions, option flags, process id, time zone and language. */
  client: { programVersion: number; processId: number; flags: readonly number[]; timeZone: number; lcid: number };
  /** Feature extensions by number, as sent. */
  features: ReadonlyMap<number, Buffer>;
}

export const TDS_7_4 = 0x74000004;
const TDS_8 = 0x08000000;
const EXTENSION_FOLLOWS = 0x10;
const Feature = { FedAuth: 0x02, Utf8Support: 0x0a, Terminator: 0xff } as const;
/**
 * Extensions that a gateway does not forward: it answers FEDAUTH itself, and routing (enhanced routing, DNS caching) would
 * make the client bypass it. All others reach the upstream server as the client sent them.
 */
export const FEATURES_KEPT_BACK: ReadonlySet<number> = new Set([0x02, 0x0b, 0x0f]);
const FedAuthLibrary = { SecurityToken: 1, Adal: 2 } as const;

export function readLogin7(body: Buffer): Login7 {
  const reader = new ByteReader(body);
  const length = reader.uint32();
  if (length > body.length) throw new ProtocolError(`LOGIN7 declares ${length} bytes but has ${body.length}`);
  const tdsVersion = reader.uint32();
  const packetSize = reader.uint32();
  const programVersion = reader.uint32();
  const processId = reader.uint32();
  reader.uint32();
  const flags = [reader.uint8(), reader.uint8(), reader.uint8(), reader.uint8()];
  const [, , typeFlags = 0, flags3 = 0] = flags;
  const timeZone = reader.int32();
  const lcid = reader.uint32();
  const field = (): Buffer => readAt(body, reader.uint16(), reader.uint16() * 2);
  const hostName = field().toString('utf16le');
  const userName = field().toString('utf16le');
  const password = unscramble(field());
  const appName = field().toString('utf16le');
  const serverName = field().toString('utf16le');
  const extensionAt = reader.uint16();
  const extensionLength = reader.uint16();
  const library = field().toString('utf16le');
  const language = field().toString('utf16le');
  const database = field().toString('utf16le');
  reader.bytes(6);
  reader.uint16();
  const sspiLength = reader.uint16();

  const extended = (flags3 & EXTENSION_FOLLOWS) !== 0 && extensionLength >= 4;
  const features = extended
    ? readFeatures(body, readAt(body, extensionAt, 4).readUInt32LE(0))
    : new Map<number, Buffer>();
  const fedAuth = readFedAuth(features.get(Feature.FedAuth));
  let proof: LoginProof = { kind: 'sql', userName, password };
  if (fedAuth !== undefined) proof = fedAuth.proof;
  else if (sspiLength > 0) proof = { kind: 'integrated' };
  return {
    tdsVersion,
    packetSize,
    hostName,
    appName,
    serverName,
    library,
    language,
    database,
    readOnlyIntent: (typeFlags & 0x20) !== 0,
    utf8: features.has(Feature.Utf8Support),
    fedAuthEcho: fedAuth?.echo ?? false,
    proof,
    client: { programVersion, processId, flags, timeZone, lcid },
    features,
  };
}

/**
 * A LOGIN7 with a SQL login, on behalf of a client. TDS version, names, database, packet size, option flags and feature
 * extensions are the client's own, except {@link FEATURES_KEPT_BACK}.
 */
export function writeLogin7(login: Login7, userName: string, password: string): Buffer {
  const FIXED = 94;
  const writer = new ByteWriter(512);
  const { programVersion, processId, flags, timeZone, lcid } = login.client;
  const [flags1 = 0, flags2 = 0, typeFlags = 0, flags3 = 0] = flags;
  const extended = hasExtensions(login.tdsVersion);
  // TDS 8 is 7.4 inside TLS; the version spoken upstream depends on the encryption used there.
  writer
    .uint32(0)
    .uint32(extended ? TDS_7_4 : login.tdsVersion)
    .uint32(login.packetSize);
  writer.uint32(programVersion).uint32(processId).uint32(0);
  // Without integrated security and password change, which concern the login at the gateway.
  writer
    .uint8(flags1)
    .uint8(flags2 & 0x7f)
    .uint8(typeFlags);
  writer.uint8((flags3 & ~0x11) | (extended ? EXTENSION_FOLLOWS : 0));
  writer.int32(timeZone).uint32(lcid);

  let at = FIXED;
  const texts: Buffer[] = [];
  const field = (data: Buffer, length = data.length / 2): void => {
    writer.uint16(at).uint16(length);
    texts.push(data);
    at += data.length;
  };
  const text = (value: string): void => field(Buffer.from(value, 'utf16le'));
  text(login.hostName);
  text(userName);
  field(scramble(password));
  text(login.appName);
  text(login.serverName);
  const pointer = Buffer.alloc(extended ? 4 : 0);
  field(pointer, pointer.length);
  text(login.library);
  text(login.language);
  text(login.database);
  writer.bytes(Buffer.alloc(6));
  for (let unused = 0; unused < 3; unused += 1) writer.uint16(at).uint16(0);
  writer.uint32(0);
  for (const each of texts) writer.bytes(each);

  const features = writer.length;
  if (extended) {
    for (const [id, data] of login.features) {
      if (!FEATURES_KEPT_BACK.has(id)) writer.uint8(id).uint32(data.length).bytes(data);
    }
    writer.uint8(Feature.Terminator);
  }
  const whole = Buffer.from(writer.view());
  whole.writeUInt32LE(whole.length, 0);
  if (!extended) return whole;
  whole.writeUInt32LE(
    features,
    FIXED + texts.slice(0, texts.indexOf(pointer)).reduce((sum, each) => sum + each.length, 0),
  );
  return whole;
}

/** TDS 7.4 and 8 have feature extensions, and therefore tokens. */
export function hasExtensions(tdsVersion: number): boolean {
  return tdsVersion === TDS_7_4 || tdsVersion === TDS_8;
}

/** fODBC, a bit of OptionFlags2 (MS-TDS 2.2.6.4). */
export function announcesOdbc([, flags2 = 0]: readonly number[]): boolean {
  return (flags2 & 0x02) !== 0;
}

/** TDS 7.0 has no collations. */
export function isBeforeTds71(tdsVersion: number): boolean {
  return tdsVersion >>> 24 < 0x71 && tdsVersion !== TDS_8;
}

/** TDS 7.1 and earlier have shorter tokens in every answer. */
export function isBeforeTds72(tdsVersion: number): boolean {
  return tdsVersion >>> 24 < 0x72 && tdsVersion !== TDS_8;
}

/** The token in a FEDAUTH message ([MS-TDS] 2.2.6.3). */
export function readFedAuthToken(body: Buffer): string {
  const reader = new ByteReader(body);
  reader.uint32();
  return reader.bytes(reader.uint32()).toString('utf16le');
}

function readFeatures(body: Buffer, at: number): Map<number, Buffer> {
  const features = new Map<number, Buffer>();
  const reader = new ByteReader(body);
  reader.seek(at);
  for (let id = reader.uint8(); id !== Feature.Terminator; id = reader.uint8()) {
    features.set(id, reader.bytes(reader.uint32()));
  }
  return features;
}

function readFedAuth(data: Buffer | undefined): { echo: boolean; proof: LoginProof } | undefined {
  if (data === undefined) return undefined;
  const reader = new ByteReader(data);
  const options = reader.uint8();
  const echo = (options & 1) === 1;
  switch (options >> 1) {
    case FedAuthLibrary.SecurityToken:
      return { echo, proof: { kind: 'security-token', token: reader.bytes(reader.uint32()).toString('utf16le') } };
    case FedAuthLibrary.Adal:
      return { echo, proof: { kind: 'adal' } };
    default:
      throw new ProtocolError(`FEDAUTH library ${options >> 1} is not known`);
  }
}

function readAt(body: Buffer, offset: number, length: number): Buffer {
  if (length === 0) return Buffer.alloc(0);
  const reader = new ByteReader(body);
  reader.seek(offset);
  return reader.bytes(length);
}

function scramble(password: string): Buffer {
  const bytes = Buffer.from(password, 'utf16le');
  return bytes.map((byte) => (((byte << 4) & 0xf0) | (byte >> 4)) ^ 0xa5) as Buffer;
}

function unscramble(scrambled: Buffer): string {
  const plain = Buffer.allocUnsafe(scrambled.length);
  for (let i = 0; i < scrambled.length; i += 1) {
    const mixed = (scrambled[i] as number) ^ 0xa5;
    plain[i] = ((mixed << 4) & 0xf0) | (mixed >> 4);
  }
  return plain.toString('utf16le');
}

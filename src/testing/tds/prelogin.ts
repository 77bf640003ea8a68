import { ByteReader } from './byte-reader.js';
import { ByteWriter } from './byte-writer.js';
import { ProtocolError } from './packet.js';

/** The encryption option of PRELOGIN, from either side ([MS-TDS] 2.2.6.5). */
export const Encryption = { Off: 0, On: 1, NotSupported: 2, Required: 3 } as const;

const Option = {
  Version: 0,
  Encryption: 1,
  Instance: 2,
  ThreadId: 3,
  Mars: 4,
  TraceId: 5,
  FedAuth: 6,
  Nonce: 7,
} as const;
const TERMINATOR = 0xff;

export interface PreLogin {
  encryption: number;
  /** The client can log in with a token. */
  fedAuthRequired: boolean;
  /** The client's 32 random bytes, if it sent any. */
  nonce: Buffer | undefined;
}

export function readPreLogin(body: Buffer): PreLogin {
  const options = new Map<number, Buffer>();
  const reader = new ByteReader(body);
  for (let token = reader.uint8(); token !== TERMINATOR; token = reader.uint8()) {
    const offset = reader.uint16be();
    const length = reader.uint16be();
    const data = new ByteReader(body, 0);
    data.seek(offset);
    options.set(token, data.bytes(length));
  }
  if (!options.has(Option.Version)) throw new ProtocolError('PRELOGIN names no version');
  return {
    encryption: options.get(Option.Encryption)?.[0] ?? Encryption.NotSupported,
    fedAuthRequired: options.get(Option.FedAuth)?.[0] === 1,
    nonce: options.get(Option.Nonce),
  };
}

/** The server's answer. MARS is off: neither tedious nor this server supports it. */
export function writePreLoginResponse(answer: {
  version: readonly [number, number, number];
  encryption: number;
  fedAuthRequired: boolean;
}): Buffer {
  const [major, minor, build] = answer.version;
  const options: [number, Buffer][] = [
    [Option.Version, Buffer.from([major, minor, build >> 8, build & 0xff, 0, 0])],
    [Option.Encryption, Buffer.from([answer.encryption])],
    [Option.Instance, Buffer.from([0])],
    [Option.ThreadId, Buffer.alloc(0)],
    [Option.Mars, Buffer.from([0])],
  ];
  if (answer.fedAuthRequired) options.push([Option.FedAuth, Buffer.from([1])]);
  return writeOptions(options);
}

/** A client's PRELOGIN, for the login upstream. */
export function writePreLoginRequest(encryption: number): Buffer {
  return writeOptions([
    [Option.Version, Buffer.from([16, 0, 0, 0, 0, 0])],
    [Option.Encryption, Buffer.from([encryption])],
    [Option.Instance, Buffer.from([0])],
    [Option.ThreadId, Buffer.alloc(4)],
    [Option.Mars, Buffer.from([0])],
  ]);
}

function writeOptions(options: readonly [number, Buffer][]): Buffer {
  const writer = new ByteWriter(128);
  let offset = options.length * 5 + 1;
  for (const [token, data] of options) {
    writer.uint8(token).uint16be(offset).uint16be(data.length);
    offset += data.length;
  }
  writer.uint8(TERMINATOR);
  for (const [, data] of options) writer.bytes(data);
  return Buffer.from(writer.view());
}

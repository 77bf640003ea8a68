import { ByteReader } from './byte-reader.js';
import { ByteWriter } from './byte-writer.js';
import { ProtocolError } from './packet.js';
import { SqlServerError } from './server-error.js';

/** A server's answer to LOGIN7, token by token ([MS-TDS] 2.2.7), so that it can be forwarded. */
export interface LoginResponse {
  accepted: boolean;
  /** The first error, if any. */
  error: SqlServerError | undefined;
  /** The session's current database. */
  database: string;
  /** Negotiated packet size, bytes. */
  packetSize: number | undefined;
  /** The server to which the client is redirected. */
  redirect: { server: string; port: number } | undefined;
  tokens: { id: number; bytes: Buffer }[];
}

const Token = {
  Error: 0xaa,
  Info: 0xab,
  LoginAck: 0xad,
  FeatureExtAck: 0xae,
  EnvChange: 0xe3,
  Sspi: 0xed,
  SessionState: 0xe4,
  Done: 0xfd,
} as const;
const Env = { Database: 1, PacketSize: 4, Routing: 20 } as const;
const FEATURE_FEDAUTH = 0x02;
const FEATURES_END = 0xff;

/** `beforeTds72`: the row count in DONE has four bytes instead of eight. */
export function readLoginResponse(body: Buffer, beforeTds72: boolean): LoginResponse {
  const response: LoginResponse = {
    accepted: false,
    error: undefined,
    database: '',
    packetSize: undefined,
    redirect: undefined,
    tokens: [],
  };
  const reader = new ByteReader(body);
  while (reader.remaining > 0) {
    const from = reader.position;
    const id = reader.uint8();
    switch (id) {
      case Token.FeatureExtAck:
        while (reader.uint8() !== FEATURES_END) reader.bytes(reader.uint32());
        break;
      case Token.SessionState:
        reader.bytes(reader.uint32());
        break;
      case Token.Done:
        reader.bytes(beforeTds72 ? 8 : 12);
        break;
      case Token.Error:
      case Token.Info:
      case Token.LoginAck:
      case Token.EnvChange:
      case Token.Sspi:
        note(response, id, reader.bytes(reader.uint16()));
        break;
      default:
        throw new ProtocolError(`token 0x${id.toString(16)} in the answer to a login`);
    }
    response.tokens.push({ id, bytes: body.subarray(from, reader.position) });
  }
  return response;
}

function note(response: LoginResponse, id: number, data: Buffer): void {
  const reader = new ByteReader(data);
  if (id === Token.LoginAck) response.accepted = true;
  else if (id === Token.Error) response.error ??= readError(reader);
  else if (id === Token.EnvChange) {
    const kind = reader.uint8();
    if (kind === Env.Database) response.database = reader.shortText();
    else if (kind === Env.PacketSize) response.packetSize = Number(reader.shortText());
    else if (kind === Env.Routing) response.redirect = readRouting(reader);
  }
}

function readError(reader: ByteReader): SqlServerError {
  const number = reader.int32();
  const state = reader.uint8();
  const severity = reader.uint8();
  return new SqlServerError({ number, state, class: severity, message: reader.longText() });
}

function readRouting(reader: ByteReader): { server: string; port: number } {
  reader.uint16();
  reader.uint8();
  const port = reader.uint16();
  return { port, server: reader.longText() };
}

/**
 * The response for a client that logged in differently from the upstream login: with the FEDAUTH acknowledgement it
 * expects, and in its own version of TDS.
 */
export function adaptLoginResponse(
  { tokens }: LoginResponse,
  client: { fedAuth: boolean; tdsVersion: number },
): Buffer {
  const writer = new ByteWriter(1024);
  let acknowledged = !client.fedAuth;
  for (const { id, bytes } of tokens) {
    if (id === Token.FeatureExtAck && !acknowledged) {
      writer.uint8(id).uint8(FEATURE_FEDAUTH).uint32(0).bytes(bytes.subarray(1));
      acknowledged = true;
    } else if (id === Token.Done && !acknowledged) {
      writer.uint8(Token.FeatureExtAck).uint8(FEATURE_FEDAUTH).uint32(0).uint8(FEATURES_END).bytes(bytes);
      acknowledged = true;
    } else if (id === Token.LoginAck) {
      const own = Buffer.from(bytes);
      own.writeUInt32BE(client.tdsVersion, 4);
      writer.bytes(own);
    } else {
      writer.bytes(bytes);
    }
  }
  return Buffer.from(writer.view());
}

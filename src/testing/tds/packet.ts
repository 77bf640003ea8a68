/**
 * TDS packets ([MS-TDS] 2.2.3.1): an 8-byte header, then a piece of a message. A message is a run of packets of one type,
 * the last of which carries the end-of-message flag.
 */

export const PacketType = {
  SqlBatch: 0x01,
  Rpc: 0x03,
  TabularResult: 0x04,
  Attention: 0x06,
  BulkLoad: 0x07,
  FedAuthToken: 0x08,
  TransactionManager: 0x0e,
  Login7: 0x10,
  Sspi: 0x11,
  PreLogin: 0x12,
} as const;

export const PacketStatus = {
  EndOfMessage: 0x01,
  Ignore: 0x02,
  ResetConnection: 0x08,
  ResetConnectionSkipTran: 0x10,
} as const;

export const HEADER_LENGTH = 8;

/** The peer sent something that is not TDS. Only its own connection is closed. */
export class ProtocolError extends Error {
  override name = 'ProtocolError';
}

/** One packet. `bytes` is the complete packet, including the header. */
export interface Packet {
  type: number;
  status: number;
  bytes: Buffer;
}

/**
 * Splits a byte stream into packets. The chunks of an incomplete packet are joined only once, so a packet that trickles in
 * costs no more than one that arrives at once.
 */
export class PacketSplitter {
  readonly #onPacket: (packet: Packet) => void;
  #pending: Buffer[] = [];
  #pendingLength = 0;
  #needed = HEADER_LENGTH;

  constructor(onPacket: (packet: Packet) => void) {
    this.#onPacket = onPacket;
  }

  /** Takes the next bytes; throws `ProtocolError` for an invalid header. */
  push(chunk: Buffer): void {
    let data = chunk;
    if (this.#pendingLength > 0) {
      this.#pending.push(chunk);
      this.#pendingLength += chunk.length;
      if (this.#pendingLength < this.#needed) return;
      data = Buffer.concat(this.#pending, this.#pendingLength);
      this.#pending = [];
      this.#pendingLength = 0;
    }
    let at = 0;
    while (data.length - at >= HEADER_LENGTH) {
      const length = data.readUInt16BE(at + 2);
      if (length < HEADER_LENGTH) throw new ProtocolError(`a packet of ${length} bytes is shorter than its own header`);
      if (data.length - at < length) break;
      const bytes = data.subarray(at, at + length);
      at += length;
      this.#onPacket({ type: bytes.readUInt8(0), status: bytes.readUInt8(1), bytes });
    }
    const rest = data.length - at;
    if (rest === 0) return;
    this.#needed = rest < HEADER_LENGTH ? HEADER_LENGTH : data.readUInt16BE(at + 2);
    this.#pending.push(data.subarray(at));
    this.#pendingLength = rest;
  }

  /** True if no packet is incomplete. */
  get idle(): boolean {
    return this.#pendingLength === 0;
  }

  /** Removes and returns the bytes of the incomplete packet. */
  takeRest(): Buffer {
    const rest = Buffer.concat(this.#pending, this.#pendingLength);
    this.#pending = [];
    this.#pendingLength = 0;
    return rest;
  }
}

/** A message assembled from its packets. */
export interface Message {
  type: number;
  /** Status bits of the first packet, which has the reset flags, and the ignore flag of the last. */
  status: number;
  /** Session id, which servers put in every header. */
  spid: number;
  body: Buffer;
}

/** Joins packets into messages, up to `limit` bytes each. */
export class MessageAssembler {
  readonly #onMessage: (message: Message) => void;
  readonly #limit: number;
  #parts: Buffer[] = [];
  #length = 0;
  #type = -1;
  #status = 0;
  #spid = 0;

  constructor(limit: number, onMessage: (message: Message) => void) {
    this.#limit = limit;
    this.#onMessage = onMessage;
  }

  push(packet: Packet): void {
    if (this.#type === -1) {
      this.#type = packet.type;
      this.#status = packet.status;
      this.#spid = packet.bytes.readUInt16BE(4);
    } else if (packet.type !== this.#type) {
      throw new ProtocolError(`a packet of type ${packet.type} came in the middle of a message of type ${this.#type}`);
    }
    this.#length += packet.bytes.length - HEADER_LENGTH;
    if (this.#length > this.#limit) throw new ProtocolError(`a message is longer than ${this.#limit} bytes`);
    this.#parts.push(packet.bytes.subarray(HEADER_LENGTH));
    if ((packet.status & PacketStatus.EndOfMessage) === 0) return;

    const message = {
      type: this.#type,
      status: this.#status | (packet.status & PacketStatus.Ignore),
      spid: this.#spid,
      body: this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts, this.#length),
    };
    this.#parts = [];
    this.#length = 0;
    this.#type = -1;
    this.#onMessage(message);
  }
}

/** Splits a message body into packets of at most `packetSize` bytes, in one buffer for a single write. */
export function frameMessage(type: number, body: Buffer, packetSize: number, status = 0, spid = 0): Buffer {
  const bodySize = packetSize - HEADER_LENGTH;
  const packets = Math.max(1, Math.ceil(body.length / bodySize));
  const framed = Buffer.allocUnsafe(body.length + packets * HEADER_LENGTH);
  for (let i = 0; i < packets; i += 1) {
    const from = i * bodySize;
    const to = Math.min(body.length, from + bodySize);
    const at = i * packetSize;
    const last = i === packets - 1;
    writePacketHeader(
      framed,
      at,
      type,
      (i === 0 ? status : 0) | (last ? PacketStatus.EndOfMessage : 0),
      to - from,
      i + 1,
      spid,
    );
    body.copy(framed, at + HEADER_LENGTH, from, to);
  }
  return framed;
}

/** Writes the header of a packet with `bodyLength` bytes of body. */
export function writePacketHeader(
  target: Buffer,
  at: number,
  type: number,
  status: number,
  bodyLength: number,
  packetId: number,
  spid = 0,
): void {
  target.writeUInt8(type, at);
  target.writeUInt8(status, at + 1);
  target.writeUInt16BE(bodyLength + HEADER_LENGTH, at + 2);
  target.writeUInt16BE(spid, at + 4);
  target.writeUInt8(packetId & 0xff, at + 6);
  target.writeUInt8(0, at + 7);
}

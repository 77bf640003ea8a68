/** One element of DER (ITU-T X.690); only what certificates and keys need. */
export interface DerElement {
  tag: number;
  /** Content without tag and length. */
  content: Buffer;
  /** Tag, length and content. */
  whole: Buffer;
}

export const DER = { INTEGER: 0x02, OCTET_STRING: 0x04, OBJECT_ID: 0x06, SEQUENCE: 0x30, SET: 0x31 } as const;

/** A certificate file has a few dozen elements in a sequence; many more would be an attack on time and memory. */
const MOST_ELEMENTS = 1_000;
/** Object identifiers of algorithms have at most a dozen bytes. */
const LONGEST_OBJECT_ID = 32;

/** Reads all elements of a buffer, one after the other. @throws RangeError if it is not DER */
export function readDer(bytes: Buffer): DerElement[] {
  const elements: DerElement[] = [];
  for (let at = 0; at < bytes.length; ) {
    const element = readOne(bytes, at);
    if (elements.length === MOST_ELEMENTS) throw new RangeError('too many DER elements');
    elements.push(element);
    at += element.whole.length;
  }
  return elements;
}

function readOne(bytes: Buffer, at: number): DerElement {
  const tag = byteAt(bytes, at);
  let start = at + 2;
  let length = byteAt(bytes, at + 1);
  if (length > 0x84 || length === 0x80) throw new RangeError('not DER');
  if (length > 0x80) {
    const digits = length & 0x0f;
    length = 0;
    for (let i = 0; i < digits; i += 1) length = length * 256 + byteAt(bytes, start + i);
    start += digits;
  }
  const end = start + length;
  if (end > bytes.length) throw new RangeError('DER is cut off');
  return { tag, content: bytes.subarray(start, end), whole: bytes.subarray(at, end) };
}

function byteAt(bytes: Buffer, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw new RangeError('DER is cut off');
  return byte;
}

/** The elements inside one. */
export function children(element: DerElement | undefined, tag?: number): DerElement[] {
  if (element === undefined || (tag !== undefined && element.tag !== tag))
    throw new RangeError('unexpected DER element');
  return readDer(element.content);
}

/** Dotted form of an object identifier. */
export function objectId(element: DerElement | undefined): string {
  if (element?.tag !== DER.OBJECT_ID || element.content.length > LONGEST_OBJECT_ID)
    throw new RangeError('object identifier expected');
  const [first = 0, ...rest] = element.content;
  const arcs = [Math.floor(first / 40), first % 40];
  let arc = 0;
  for (const byte of rest) {
    arc = arc * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      arcs.push(arc);
      arc = 0;
    }
  }
  return arcs.join('.');
}

/** A small positive integer. */
export function smallInteger(element: DerElement | undefined): number {
  if (element?.tag !== DER.INTEGER || element.content.length > 6 || element.content.length === 0)
    throw new RangeError('integer expected');
  return element.content.readUIntBE(0, element.content.length);
}

/** A block of a PEM file (RFC 7468). */
export interface PemBlock {
  /** `CERTIFICATE`, for example. */
  label: string;
  /** The block with its two lines. */
  pem: string;
  /** The content between them. */
  base64: string;
}

const BEGIN = '-----BEGIN ';
const DASHES = '-----';
/** A chain has a few certificates. */
const MOST_BLOCKS = 100;

/**
 * The certificates and private keys of a PEM text. A search for the next line, not an expression: a text full of BEGIN
 * lines without their END would be searched from each of them to its end.
 */
export function certificateBlocks(text: string): { certificates: PemBlock[]; keys: PemBlock[] } {
  const certificates: PemBlock[] = [];
  const keys: PemBlock[] = [];
  for (let at = text.indexOf(BEGIN), blocks = 0; at !== -1 && blocks < MOST_BLOCKS; blocks += 1) {
    const labelEnd = text.indexOf(DASHES, at + BEGIN.length);
    if (labelEnd === -1) break;
    const label = text.slice(at + BEGIN.length, labelEnd);
    const bodyStart = labelEnd + DASHES.length;
    const end = `-----END ${label}-----`;
    const bodyEnd = label.length > 64 ? -1 : text.indexOf(end, bodyStart);
    if (bodyEnd === -1) {
      at = text.indexOf(BEGIN, bodyStart);
      continue;
    }
    const block = { label, pem: text.slice(at, bodyEnd + end.length), base64: text.slice(bodyStart, bodyEnd) };
    if (label === 'CERTIFICATE') certificates.push(block);
    else if (label.endsWith('PRIVATE KEY')) keys.push(block);
    at = text.indexOf(BEGIN, bodyEnd + end.length);
  }
  return { certificates, keys };
}

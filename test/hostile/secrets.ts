import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';

/** A secret without a recognizable form: no pattern can find it, only a comparison can. */
export function plantedSecret(length = 64): string {
  return randomBytes(length).toString('base64url').slice(0, length);
}

/** A secret counts as seen if this many of its bytes are. */
const TRACE = 16;

/** The forms in which a secret can appear in text. */
function formsOf(secret: string): string[] {
  const utf8 = Buffer.from(secret);
  const forms = [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)];
  if (secret.length >= TRACE) forms.push(utf8.toString('base64').replace(/=+$/, ''), utf8.toString('hex'));
  return [...new Set(forms)];
}

/** The forms that are left of it when everything but letters and digits is removed from a text. */
function bareFormsOf(secret: string): string[] {
  if (secret.length < TRACE) return [];
  const wide = Buffer.from(secret, 'utf16le');
  const codes = [...Buffer.from(secret)];
  return [
    bare(secret),
    ...[secret, `Bearer ${secret}`, wide].map((each) => bare(Buffer.from(each as string).toString('base64'))),
    ...[Buffer.from(secret), wide].map((each) => each.toString('hex')),
    codes.map((code) => `u00${code.toString(16)}`).join(''),
    codes.join(''),
  ];
}

const bare = (text: string): string => text.replaceAll(/[^A-Za-z0-9]/g, '');

/** The first secret of which `text` holds a piece long enough to matter, or undefined. */
export function secretIn(text: string, secrets: readonly string[]): string | undefined {
  const bareText = bare(text);
  return secrets.find(
    (secret) =>
      formsOf(secret).some((form) => hasPieceOf(form, text)) ||
      bareFormsOf(secret).some((form) => hasPieceOf(form, bareText)),
  );
}

function hasPieceOf(form: string, text: string): boolean {
  const length = Math.min(TRACE, form.length);
  // Every second window: a piece of TRACE + 1 characters is always found.
  for (let at = 0; at + length <= form.length; at += 2) {
    if (text.includes(form.slice(at, at + length))) return true;
  }
  return false;
}

/** The same for bytes on a wire: UTF-8, UTF-16 and LOGIN7's obfuscated passwords ([MS-TDS] 2.2.6.4). */
export function secretOnWire(wire: Buffer, secrets: readonly string[]): string | undefined {
  return secrets.find((secret) => {
    const text = secret.slice(0, TRACE);
    const wide = Buffer.from(text, 'utf16le');
    const obfuscated = Buffer.from(wide.map((byte) => (((byte << 4) | (byte >> 4)) & 0xff) ^ 0xa5));
    return [Buffer.from(text), wide, obfuscated].some((form) => wire.includes(form));
  });
}

/** Every way in which something is printed, in one text. */
export function everythingPrinted(value: unknown): string {
  const texts = [
    attempt(() => inspect(value, { depth: 12, showHidden: true, maxArrayLength: null, maxStringLength: null })),
  ];
  texts.push(
    attempt(() => String(value)),
    attempt(() => JSON.stringify(value) ?? ''),
  );
  const seen = new Set<unknown>();
  const visit = (error: unknown): void => {
    if (typeof error !== 'object' || error === null || seen.has(error)) return;
    seen.add(error);
    const { message, stack, cause, errors, originalError, parent, original } = error as Record<string, unknown>;
    texts.push(
      String(message),
      String(stack),
      attempt(() => JSON.stringify(error) ?? ''),
    );
    for (const next of [cause, originalError, parent, original]) visit(next);
    if (Array.isArray(errors)) for (const next of errors) visit(next);
  };
  visit(value);
  return texts.join('\n');
}

function attempt(print: () => string): string {
  try {
    return print();
  } catch (error) {
    return `cannot be printed: ${error}`;
  }
}

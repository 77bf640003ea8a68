/** Any piece of a secret of this many characters is found, and most shorter ones from 16 characters on. */
const WINDOW = 16;
const STEP = 8;
/** A secret that is shorter without its punctuation is not looked for here. */
const SHORTEST = 12;
/**
 * Longer text does not come from a well-meaning server or provider; what lies beyond is not searched and must be cut.
 */
export const LONGEST_CHECKED = 16_384;

/**
 * Whether text repeats a secret, whole or in part, in one of the encodings in which other parties repeat text:
 * verbatim, in base64 (also inside a longer text, and of the UTF-16 that TDS sends), in hex, percent-encoded, as
 * escapes of JSON or HTML, and with blanks, line breaks or punctuation in between.
 */
export function repeatsSecret(text: string, secrets: readonly string[]): boolean {
  if (text.length < SHORTEST || secrets.length === 0) return false;
  const checked = text.slice(0, LONGEST_CHECKED);
  const plain = bare(checked);
  const decoded = bare(decode(checked));
  const variants = plain === decoded ? [plain] : [plain, decoded];
  const lower = plain.toLowerCase();
  return secrets.some((secret) => {
    const { text: forms, hex } = formsOf(secret);
    return (
      forms.some((form) => variants.some((variant) => shares(variant, form))) || hex.some((form) => shares(lower, form))
    );
  });
}

function shares(text: string, form: string): boolean {
  if (form.length < SHORTEST) return false;
  // For a short secret, three quarters of it.
  if (form.length < WINDOW + STEP) return hasWindowOf(form, 1, text, Math.max(SHORTEST, Math.ceil(form.length * 0.75)));
  // Most messages are short, and cheaper to go through than the form of a token.
  if (text.length < form.length / STEP) return hasWindowOf(text, 1, form);
  return hasWindowOf(form, STEP, text) || text.includes(form.slice(-WINDOW));
}

function hasWindowOf(source: string, step: number, text: string, length = WINDOW): boolean {
  for (let at = 0; at + length <= source.length; at += step) {
    if (text.includes(source.slice(at, at + length))) return true;
  }
  return false;
}

/** Letters and digits alone, and the two further characters of base64 in one of their two forms. */
function bare(text: string): string {
  return text
    .replaceAll('-', '+')
    .replaceAll('_', '/')
    .replaceAll(/[^A-Za-z0-9+/]/g, '');
}

interface Forms {
  text: readonly string[];
  hex: readonly string[];
}

/** The logins of a pool send the same token, and each has a message or two. */
let latest: { secret: string; forms: Forms } | undefined;

/** A secret, and what of its base64 forms depends on it alone: in each of three alignments, of UTF-8 and of UTF-16. */
function formsOf(secret: string): Forms {
  if (latest?.secret !== secret) {
    const [utf8, utf16] = [Buffer.from(secret), Buffer.from(secret, 'utf16le')];
    const text = [bare(secret), ...base64Of(utf8), ...base64Of(utf16)];
    latest = { secret, forms: { text, hex: [utf8.toString('hex'), utf16.toString('hex')] } };
  }
  return latest.forms;
}

function base64Of(bytes: Buffer): string[] {
  return [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replaceAll('=', '');
    return text.slice([0, 2, 3][before], -1);
  });
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', quot: '"', apos: "'", lt: '<', gt: '>' };

/** Percent-encoding, the escapes of JSON, and those of HTML. */
function decode(text: string): string {
  return text
    .replaceAll(/&(amp|quot|apos|lt|gt);/g, (_, name: string) => ENTITIES[name] as string)
    .replaceAll(/&#(?:x([0-9a-f]{1,6})|(\d{1,7}));/gi, (whole, hex?: string, decimal?: string) =>
      character(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16), whole),
    )
    .replaceAll(/(?:%|\\x|\\u00)([0-9a-f]{2})/gi, (whole, hex: string) => character(Number.parseInt(hex, 16), whole));
}

function character(code: number, otherwise: string): string {
  return code <= 0x10ffff ? String.fromCodePoint(code) : otherwise;
}

import { repeatsSecret } from './repeated-secret.js';

const HIDDEN = '[hidden]';
/** Shorter ones would turn ordinary words into `[hidden]`. */
const SHORTEST_SECRET = 4;
/** Longer text is cut before any search or expression sees it. */
const LONGEST_SEARCHED = 32_768;
/** The longest text that goes into an error. */
const LONGEST_KEPT = 8_192;

/** Patterns of secrets whose value is unknown: a JWT, and a value behind a name such as `password`. */
const PATTERNS: readonly [RegExp, string][] = [
  [/\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)*/g, HIDDEN],
  // Refresh tokens of Entra are opaque: `0.AX...` or `1.AX...`, then base64url.
  [/\b[01]\.A[\w-]{40,}(?:\.[\w-]+)*/g, HIDDEN],
  [
    /\b(client_?secret|client_?assertion|user_?assertion|assertion|refresh_?token|access_?token|id_?token|password|pwd|app_?key|device_?code|code_?verifier|x-identity-header|identity_header|msi_secret)\b(["']?\s{0,8}[=:]\s{0,8}["']?)[^\s"'&;,}]+/gi,
    `$1$2${HIDDEN}`,
  ],
  [/\b(Bearer|Basic)\s{1,8}[\w.~+/=-]{8,}/gi, `$1 ${HIDDEN}`],
  // V8 quotes the text that JSON.parse was given: the whole of a short secret, the beginning of a longer one.
  [
    /(?:Unexpected token [\s\S]{1,12}, )?(?:\.{3})?"[\s\S]{0,64}"(?:\.{3})? is not valid JSON/g,
    `${HIDDEN} is not valid JSON`,
  ],
  // User and password of a URL.
  [/:\/\/[^\s/@]{1,512}@/g, `://${HIDDEN}@`],
];

const PRIVATE_KEY = /-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----/;

/**
 * Makes untrusted text safe for an error message (P10): removes known secrets in every form in which they are sent,
 * then everything that looks like a secret. Truncate the result, never the input: half a secret is not recognized.
 */
export function redact(text: string, secrets: readonly (string | undefined)[] = []): string {
  let clean = text.slice(0, LONGEST_SEARCHED);
  let longest = 0;
  for (const secret of secrets) {
    if (secret === undefined || secret.length < SHORTEST_SECRET) continue;
    for (const form of formsOf(secret)) {
      clean = clean.replaceAll(form, HIDDEN);
      longest = Math.max(longest, form.length);
    }
  }
  // Part of a secret at the cut would not be recognized.
  if (text.length > LONGEST_SEARCHED) clean = clean.slice(0, Math.max(0, clean.length - longest));
  clean = withoutPrivateKeys(clean);
  for (const [pattern, replacement] of PATTERNS) clean = clean.replace(pattern, replacement);
  clean = clean.slice(0, LONGEST_KEPT);
  // The secret is there in part, or in some other encoding: nothing of the text can be kept.
  return repeatsSecret(clean, secrets.filter(isText)) ? HIDDEN : clean;
}

function isText(secret: string | undefined): secret is string {
  return secret !== undefined;
}

/** A secret verbatim, percent-encoded, form-encoded, in JSON, and in base64 of itself or of a text that contains it. */
function formsOf(secret: string): Set<string> {
  // encodeURIComponent throws for half a surrogate pair; this replaces it.
  const encoded = encodeURIComponent(Buffer.from(secret, 'utf8').toString('utf8'));
  const form = new URLSearchParams({ v: secret }).toString().slice(2);
  const forms = new Set([secret, encoded, form, JSON.stringify(secret).slice(1, -1)]);
  for (const each of [encoded, form]) forms.add(each.replaceAll(/%[0-9A-F]{2}/g, (hex) => hex.toLowerCase()));
  for (const each of [secret, form, encoded]) {
    for (const inside of base64Of(each)) forms.add(inside);
  }
  return new Set([...forms].filter((each) => each.length >= SHORTEST_SECRET).sort((a, b) => b.length - a.length));
}

/** The part of the base64 text that depends on the secret alone, for each of its three alignments. */
function base64Of(secret: string): string[] {
  const bytes = Buffer.from(secret, 'utf8');
  const forms: string[] = [];
  for (const before of [0, 1, 2]) {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64url');
    const first = [0, 2, 3][before] ?? 0;
    const rest = (before + bytes.length) % 3;
    const inside = text.slice(first, rest === 0 ? undefined : -1);
    if (inside.length < 8) continue;
    forms.push(inside, inside.replaceAll('-', '+').replaceAll('_', '/'));
  }
  return forms;
}

/**
 * Everything from the first private key on is dropped: its end may be missing, and an expression would search for it
 * each time.
 */
function withoutPrivateKeys(text: string): string {
  const at = text.search(PRIVATE_KEY);
  return at === -1 ? text : `${text.slice(0, at)}${HIDDEN}`;
}

/** The message of anything that was thrown, as text. Never throws. */
export function textOf(thrown: unknown): string {
  const message = typeof thrown === 'object' && thrown !== null ? property(thrown, 'message') : thrown;
  if (typeof message === 'string') return message;
  if (message === undefined || message === null) return '';
  return typeof message === 'object' || typeof message === 'function' ? '' : String(message);
}

/** A property of an untrusted object: a getter or a proxy may throw. */
export function property(object: unknown, name: string): unknown {
  try {
    return (object as Record<string, unknown> | null | undefined)?.[name];
  } catch {
    return undefined;
  }
}

/** A string property of an untrusted object. */
export function textProperty(object: unknown, name: string): string | undefined {
  const value = property(object, name);
  return typeof value === 'string' ? value : undefined;
}

/** A code such as `ECONNRESET`; other text is not passed on. */
export function errorCode(thrown: unknown): string | undefined {
  const code = textProperty(thrown, 'code');
  return code !== undefined && /^[A-Z][A-Z0-9_]{1,63}$/i.test(code) ? code : undefined;
}

/** A copy of an untrusted error to attach as `cause`: name, message, code and stack, without secrets. */
export function redactedCause(thrown: unknown, secrets: readonly (string | undefined)[] = []): Error {
  const copy = new Error(redact(textOf(thrown), secrets));
  copy.name = redact(textProperty(thrown, 'name') ?? 'Error', secrets).slice(0, 64);
  const stack = textProperty(thrown, 'stack');
  if (stack !== undefined) copy.stack = redact(stack, secrets);
  const code = errorCode(thrown);
  if (code !== undefined) Object.assign(copy, { code });
  return copy;
}

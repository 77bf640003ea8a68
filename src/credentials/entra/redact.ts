const HIDDEN = '[hidden]';
/** Shorter ones would turn ordinary words into `[hidden]`. */
const SHORTEST_SECRET = 4;

/** What a secret looks like where nobody told us the secret itself: JWTs, and values after telling names. */
const TELLING: readonly [RegExp, string][] = [
  [/\beyJ[\w-]{8,}\.[\w-]+(\.[\w-]*)*/g, HIDDEN],
  [
    /\b(client_?secret|client_?assertion|assertion|refresh_?token|access_?token|id_?token|password|pwd|app_?key|device_?code|code_?verifier)(["']?\s*[=:]\s*["']?)[^\s"'&;,}]+/gi,
    `$1$2${HIDDEN}`,
  ],
  [/\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/gi, `$1 ${HIDDEN}`],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, HIDDEN],
];

/** Text of somebody else's that goes into an error (P10): known secrets out, and whatever looks like one. */
export function redact(text: string, secrets: readonly (string | undefined)[] = []): string {
  let clean = text;
  for (const secret of secrets) {
    if (secret === undefined || secret.length < SHORTEST_SECRET) continue;
    clean = clean.replaceAll(secret, HIDDEN).replaceAll(encodeURIComponent(secret), HIDDEN);
  }
  for (const [pattern, replacement] of TELLING) clean = clean.replace(pattern, replacement);
  return clean;
}

/** A copy of somebody else's error to hang on ours as `cause`: name, message, code and stack, without secrets. */
export function redactedCause(thrown: unknown, secrets: readonly (string | undefined)[] = []): Error {
  const original = (typeof thrown === 'object' && thrown !== null ? thrown : { message: String(thrown) }) as {
    name?: unknown;
    message?: unknown;
    code?: unknown;
    stack?: unknown;
  };
  const copy = new Error(redact(String(original.message ?? ''), secrets));
  copy.name = typeof original.name === 'string' ? original.name : 'Error';
  if (typeof original.stack === 'string') copy.stack = redact(original.stack, secrets);
  if (typeof original.code === 'string') Object.assign(copy, { code: original.code });
  return copy;
}

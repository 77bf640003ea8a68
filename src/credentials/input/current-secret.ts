import { ProofUnavailableError, type TokenPoolError, TokenUnavailableError } from '../../errors.js';
import type { Secret } from '../credential.js';
import { asCredentialFailure } from '../entra/provider-error.js';
import { redact, redactedCause, textOf } from '../entra/redact.js';

/**
 * The current value of a secret; a function is called each time. Trailing line breaks are removed: a secret read from a
 * file has one, and no secret ends with one.
 *
 * @throws ProofUnavailableError if the function fails or returns no text; TokenUnavailableError if another service, which the
 *   function called, refused: that service is not called more often than the identity provider itself (P5)
 */
export async function currentSecret(secret: Secret, option: string): Promise<string> {
  if (typeof secret === 'string') return withoutTrailingNewline(secret);
  let value: unknown;
  try {
    value = await secret();
  } catch (thrown) {
    const { wasAnswered, retryAfterMs } = whatFailed(thrown);
    const Kind = wasAnswered ? TokenUnavailableError : ProofUnavailableError;
    throw new Kind(`The function given as '${option}' failed: ${redact(textOf(thrown))}`, {
      cause: redactedCause(thrown),
      retryAfterMs,
    });
  }
  const text = typeof value === 'string' ? withoutTrailingNewline(value) : '';
  if (text !== '') return text;
  throw new ProofUnavailableError(`The function given as '${option}' must return a non-empty string.`, {
    hint: 'It is called again soon, and for each request. Return the secret itself, or a promise of it.',
  });
}

/**
 * The same for a secret that is a JWT. A function often reads it from a file that another process writes; an incomplete one is not
 * sent. A fixed text is left to the identity provider, whose refusal says more.
 *
 * @throws ProofUnavailableError if the function fails or returns no JWT; TokenUnavailableError as above
 */
export async function currentJwt(secret: Secret, option: string): Promise<string> {
  const jwt = await currentSecret(secret, option);
  if (typeof secret === 'string' || looksLikeJwt(jwt)) return jwt;
  throw new ProofUnavailableError(`The function given as '${option}' must return a token (JWT), and nothing else.`, {
    hint: 'It is called again soon, and for each request. Return the JWT alone, without "Bearer" or quotation marks.',
  });
}

/** Whether a service answered: a vault, or the identity provider itself if a credential supplies the assertion. */
function whatFailed(thrown: unknown): { wasAnswered: boolean; retryAfterMs: number | undefined } {
  const failure = asCredentialFailure(thrown) as TokenPoolError & { status?: number };
  const { retryAfterMs, status } = failure;
  const isOwn = failure === thrown && !(failure instanceof ProofUnavailableError);
  return { wasAnswered: isOwn || status !== undefined || retryAfterMs !== undefined, retryAfterMs };
}

export function withoutTrailingNewline(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === '\n' || text[end - 1] === '\r')) end -= 1;
  return text.slice(0, end);
}

/** No assertion is longer. */
const LONGEST_JWT = 64 * 1024;

/** Three parts of base64url with dots between (RFC 7515 section 3.1). */
export function looksLikeJwt(text: string): boolean {
  return text.length <= LONGEST_JWT && /^[\w-]+\.[\w-]+\.[\w-]*$/.test(text);
}

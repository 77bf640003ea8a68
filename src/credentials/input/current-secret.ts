import { ConfigurationError, TokenUnavailableError } from '../../errors.js';
import type { Secret } from '../credential.js';
import { redact, redactedCause, textOf } from '../entra/redact.js';

/**
 * The current value of a secret; a function is called each time. Trailing line breaks are removed: a secret read from a
 * file has one, and no secret ends with one.
 *
 * @throws TokenUnavailableError if the function fails; ConfigurationError if it returns no text
 */
export async function currentSecret(secret: Secret, option: string): Promise<string> {
  if (typeof secret === 'string') return withoutTrailingNewline(secret);
  let value: unknown;
  try {
    value = await secret();
  } catch (thrown) {
    throw new TokenUnavailableError(`The function given as '${option}' failed: ${redact(textOf(thrown))}`, {
      cause: redactedCause(thrown),
    });
  }
  const text = typeof value === 'string' ? withoutTrailingNewline(value) : '';
  if (text !== '') return text;
  throw new ConfigurationError(`The function given as '${option}' must return a string that is not empty.`);
}

export function withoutTrailingNewline(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === '\n' || text[end - 1] === '\r')) end -= 1;
  return text.slice(0, end);
}

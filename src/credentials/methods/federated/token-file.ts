import { ConfigurationError, TokenUnavailableError } from '../../../errors.js';
import { errorCode, redactedCause } from '../../entra/redact.js';
import { withoutTrailingNewline } from '../../input/current-secret.js';
import { readStart } from '../../input/read-file.js';

/** A projected service account token has 1 to 2 KiB, a SPIFFE JWT-SVID less. */
const LARGEST_TOKEN_FILE = 64 * 1024;

/**
 * The JWT in a file that another process keeps fresh. An error names the option, not the path: a token that was
 * passed instead would be a secret.
 *
 * @throws TokenUnavailableError if the file cannot be read; ConfigurationError if it holds no JWT
 */
export async function readTokenFile(path: string, option: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readStart(path, LARGEST_TOKEN_FILE);
  } catch (cause) {
    throw new TokenUnavailableError(
      `The token file in '${option}' cannot be read (${errorCode(cause) ?? 'unknown'}).`,
      { cause: redactedCause(cause, [path]) },
    );
  }
  const jwt = withoutTrailingNewline(bytes.toString('utf8')).trim();
  if (bytes.length <= LARGEST_TOKEN_FILE && looksLikeJwt(jwt)) return jwt;
  throw new ConfigurationError(`The token file in '${option}' holds no token (JWT).`);
}

/** Three parts of base64url with dots between (RFC 7515 section 3.1). */
export function looksLikeJwt(text: string): boolean {
  return text.length <= LARGEST_TOKEN_FILE && /^[\w-]+\.[\w-]+\.[\w-]*$/.test(text);
}

import { TokenUnavailableError } from '../../../errors.js';
import { sleep } from '../../../time.js';
import { errorCode, redactedCause } from '../../entra/redact.js';
import { withoutTrailingNewline } from '../../input/current-secret.js';
import { readStart } from '../../input/read-file.js';

/** A projected service account token has 1 to 2 KiB, a SPIFFE JWT-SVID less. */
const LARGEST_TOKEN_FILE = 64 * 1024;
/** Longer than it takes to write a file of this size. */
const READ_AGAIN_AFTER_MS = 100;
const HINT =
  'It is read again for each request. Check that its writer is running, that the path is mounted here, and that it holds the JWT alone, as UTF-8.';

/**
 * The JWT in a file that another process keeps fresh. An error names the option, not the path: a token that was
 * passed instead would be a secret.
 *
 * If it is missing, empty or half written, another process may be writing it: it is read once more after a moment, and again
 * by the next request.
 *
 * @throws TokenUnavailableError if the file cannot be read or holds no JWT
 */
export async function readTokenFile(path: string, option: string): Promise<string> {
  return readOnce(path, option).catch(async () => {
    await sleep(READ_AGAIN_AFTER_MS);
    return readOnce(path, option);
  });
}

async function readOnce(path: string, option: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readStart(path, LARGEST_TOKEN_FILE);
  } catch (cause) {
    throw new TokenUnavailableError(
      `The token file in '${option}' cannot be read (${errorCode(cause) ?? 'unknown'}).`,
      { cause: redactedCause(cause, [path]), hint: HINT },
    );
  }
  const jwt = withoutTrailingNewline(bytes.toString('utf8')).trim();
  if (bytes.length <= LARGEST_TOKEN_FILE && looksLikeJwt(jwt)) return jwt;
  const what = jwt === '' ? 'is empty' : 'holds no token (JWT)';
  throw new TokenUnavailableError(`The token file in '${option}' ${what}.`, { hint: HINT });
}

/** Three parts of base64url with dots between (RFC 7515 section 3.1). */
export function looksLikeJwt(text: string): boolean {
  return text.length <= LARGEST_TOKEN_FILE && /^[\w-]+\.[\w-]+\.[\w-]*$/.test(text);
}

import { ProofUnavailableError } from '../../../errors.js';
import { errorCode, redactedCause } from '../../entra/redact.js';
import { looksLikeJwt } from '../../input/current-secret.js';
import { readStart } from '../../input/read-file.js';
import { twice } from '../../input/twice.js';

/** A projected service account token has 1 to 2 KiB, a SPIFFE JWT-SVID less. */
const LARGEST_TOKEN_FILE = 64 * 1024;
const HINT =
  'It is read again soon, and for each request. Check that its writer is running, that the path is mounted here, and that it holds the token alone, as UTF-8.';

/**
 * The JWT in a file that another process keeps fresh.
 *
 * @throws ProofUnavailableError if the file cannot be read or holds no JWT
 */
export function readTokenFile(path: string, option: string): Promise<string> {
  return twice(async () => {
    const jwt = await readOnce(path, option);
    if (looksLikeJwt(jwt)) return jwt;
    throw new ProofUnavailableError(`The token file in '${option}' holds no token (JWT).`, { hint: HINT });
  });
}

/**
 * The same for a token that need not be a JWT: one line that goes into a header.
 *
 * @throws ProofUnavailableError if the file cannot be read or holds no such text
 */
export function readTextFile(path: string, option: string): Promise<string> {
  return twice(async () => {
    const text = await readOnce(path, option);
    if (text.length <= LARGEST_TOKEN_FILE && /^[\x21-\x7e]+(?: [\x21-\x7e]+)?$/.test(text)) return text;
    throw new ProofUnavailableError(`The token file in '${option}' holds no token.`, { hint: HINT });
  });
}

/** An error names the option, not the path: a token that was passed instead would be a secret. */
async function readOnce(path: string, option: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readStart(path, LARGEST_TOKEN_FILE);
  } catch (cause) {
    throw new ProofUnavailableError(
      `The token file in '${option}' cannot be read (${errorCode(cause) ?? 'unknown'}).`,
      { cause: redactedCause(cause, [path]), hint: HINT },
    );
  }
  const text = bytes.toString('utf8').trim();
  if (text !== '') return text;
  throw new ProofUnavailableError(`The token file in '${option}' is empty.`, { hint: HINT });
}

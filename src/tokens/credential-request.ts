import { publish } from '../channels.js';
import type { AccessToken, GetTokenOptions, TokenCredential } from '../credentials/credential.js';
import { isTokenText, wrongTokenType } from '../credentials/input/answered-token.js';
import { CredentialUnavailableError, TokenExpiredError, TokenUnavailableError } from '../errors.js';
import { CachedToken } from './cached-token.js';

/** One request for a token, as a credential or a shared store sees it. */
export interface CredentialRequest extends GetTokenOptions {
  /** Key of the identity, for events. */
  identity: string;
  scope: string;
  /** The token in the cache: only a later one is of use. */
  cached?: CachedToken | undefined;
  /** Id of the token that the server refused: it is of no use if another can be obtained. */
  refusedId?: string | undefined;
  /** How long the callers wait, ms, if that is known: a shared store must take less. */
  patienceMs?: number | undefined;
}

/** A smaller number is seconds, not milliseconds: it would be before 1973. */
const SMALLEST_EPOCH_MS = 1e11;

/**
 * The only place that requests a token from a credential. Every mistake of a user's own credential becomes a typed
 * error here.
 */
export async function requestToken(credential: TokenCredential, request: CredentialRequest): Promise<CachedToken> {
  const { identity, scope, cached: _, refusedId: __, patienceMs: ___, ...options } = request;
  publish('token:requested', () => ({ identity, scope }));
  const answer: unknown = await credential.getToken(scope, options);
  const token = new CachedToken(checkAnswer(answer));
  if (token.remainingMs() > 0) return token;
  throw new TokenExpiredError(`The credential returned a token that expired at ${isoTime(token.expiresOn)}.`, {
    hint: 'Check the clock of this machine, and whether the credential caches tokens beyond their expiry.',
  });
}

function checkAnswer(answer: unknown): AccessToken {
  if (answer === null || typeof answer !== 'object') {
    throw new CredentialUnavailableError('The credential returned no token.', {
      hint: 'getToken must return { token, expiresOnTimestamp }; null means that this method is not available here.',
    });
  }
  const { token, expiresOnTimestamp, refreshAfterTimestamp, tokenType } = answer as Partial<AccessToken>;
  if (typeof token !== 'string' || token === '') {
    const what = token === '' ? 'an empty token' : `a token that is not text, but of type ${typeof token}`;
    throw new TokenUnavailableError(`The credential returned ${what}.`, {
      hint: 'getToken must return { token, expiresOnTimestamp } with the access token as a string.',
    });
  }
  if (!isTokenText(token)) {
    throw new TokenUnavailableError('The credential returned a token with a character that a token cannot contain.', {
      hint: 'Return the token alone: without spaces, line breaks or non-ASCII characters.',
    });
  }
  if (typeof expiresOnTimestamp !== 'number' || !Number.isFinite(expiresOnTimestamp)) {
    throw new TokenUnavailableError('The credential returned a token without its expiry.', {
      hint: 'expiresOnTimestamp must be a number: epoch milliseconds.',
    });
  }
  if (expiresOnTimestamp < SMALLEST_EPOCH_MS) {
    throw new TokenUnavailableError('The credential returned a token with an expiry in seconds.', {
      hint: 'expiresOnTimestamp must be epoch milliseconds: multiply the `exp` of the token by 1000.',
    });
  }
  const wrongType = wrongTokenType(tokenType);
  if (wrongType !== undefined) {
    throw new TokenUnavailableError(`The credential returned a token ${wrongType}.`, {
      hint: 'SQL Server accepts bearer tokens only; disable proof-of-possession for this credential.',
    });
  }
  const refreshAfter = Number.isFinite(refreshAfterTimestamp) ? refreshAfterTimestamp : undefined;
  return { token, expiresOnTimestamp, refreshAfterTimestamp: refreshAfter };
}

/** `toISOString` throws beyond the year 275760. */
export function isoTime(epochMs: number): string {
  const date = new Date(epochMs);
  return Number.isNaN(date.getTime()) ? String(epochMs) : date.toISOString();
}

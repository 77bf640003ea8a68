import { publish } from '../channels.js';
import type { AccessToken, GetTokenOptions, TokenCredential } from '../credentials/credential.js';
import { CredentialUnavailableError, TokenExpiredError, TokenUnavailableError } from '../errors.js';
import type { CachedToken } from './cached-token.js';

/** What one request for a token is about. */
export interface TokenRequest extends GetTokenOptions {
  /** Key of the identity, for events. */
  identity: string;
  scope: string;
  /** The token there is: only a later one is of use. */
  held?: CachedToken | undefined;
  /** Id of the token that the server refused: an answer with that one is of no use where another can be had. */
  refusedId?: string | undefined;
}

/** A token, and since when it lives. */
export interface AskedToken extends AccessToken {
  /** Epoch ms by this machine's clock. */
  obtainedAt: number;
  /** Another process asked for it. */
  fromStore: boolean;
}

/** An instant before 1973 is a number of seconds. */
const SMALLEST_EPOCH_MS = 1e11;

/**
 * The one place that asks a credential for a token. Whatever a caller's own credential does wrong ends here as a typed
 * error.
 */
export async function askCredential(credential: TokenCredential, request: TokenRequest): Promise<AskedToken> {
  const { identity, scope, held: _, refusedId: __, ...options } = request;
  publish('token:requested', () => ({ identity, scope }));
  const answer: unknown = await credential.getToken(scope, options);
  return { ...checkAnswer(answer), obtainedAt: Date.now(), fromStore: false };
}

function checkAnswer(answer: unknown): AccessToken {
  if (answer === null || typeof answer !== 'object') {
    throw new CredentialUnavailableError('The credential returned no token.', {
      hint: 'getToken must return { token, expiresOnTimestamp }; null means that this way of signing in is not available here.',
    });
  }
  const { token, expiresOnTimestamp, refreshAfterTimestamp, tokenType } = answer as Partial<AccessToken>;
  if (typeof token !== 'string' || token === '') {
    throw new TokenUnavailableError('The credential returned an empty token.', {
      hint: 'getToken must return { token, expiresOnTimestamp } with the access token as a string.',
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
  if (tokenType !== undefined && String(tokenType).toLowerCase() !== 'bearer') {
    throw new TokenUnavailableError(`The credential returned a token of type '${String(tokenType).slice(0, 16)}'.`, {
      hint: 'SQL Server takes bearer tokens only; switch proof-of-possession off for this credential.',
    });
  }
  if (expiresOnTimestamp <= Date.now()) {
    throw new TokenExpiredError(`The credential returned a token that expired at ${isoTime(expiresOnTimestamp)}.`, {
      hint: 'Check the clock of this machine, and whether the credential caches tokens beyond their end.',
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

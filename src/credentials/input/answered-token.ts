import { TokenExpiredError, TokenUnavailableError } from '../../errors.js';
import type { AccessToken } from '../credential.js';
import { readJwtClaims } from '../entra/jwt-claims.js';

/** A token as an endpoint or a tool has given it, not checked yet. */
export interface AnsweredToken {
  token: string;
  /** Epoch ms; undefined or not finite if the answer does not say it. */
  expiresOn: number | undefined;
  /** Epoch ms. */
  refreshAfter?: number | undefined;
  /** As it is in the answer; no text of it is repeated unless it is a known type. */
  tokenType?: string | undefined;
}

/** Who has answered, and where to look if the answer is of no use. */
export interface AnswerSource {
  /** At the beginning of a sentence: `Azure CLI`. */
  name: string;
  /** For what, at the end of it: `client secret of application 0000-...`. */
  requested?: string | undefined;
  /** What to do about an answer without the parts that it must have. */
  hint: string;
}

/** Types of tokens that are known (OAuth Access Token Types of IANA, and Entra's own). */
const OTHER_TYPES = ['pop', 'dpop', 'mac', 'n_a', 'ssh-cert'];

/** What is wrong with the type of a token; undefined for a bearer token. Any other text may be a secret that is repeated. */
export function wrongTokenType(tokenType: unknown): string | undefined {
  if (tokenType === undefined || String(tokenType).toLowerCase() === 'bearer') return undefined;
  const type = OTHER_TYPES.find((name) => name === String(tokenType).toLowerCase());
  return type === undefined ? 'of an unknown type' : `of type '${type}'`;
}

/** RFC 6749 appendix A.12: visible ASCII characters. */
export function isTokenText(token: string): boolean {
  return /^[\x21-\x7e]+$/.test(token);
}

/**
 * Checks the answer of an endpoint or a tool, so that an error speaks of that, and not of a credential object that the caller
 * does not have. Without an expiry in the answer, the token's own `exp` counts; it counts as well if it is earlier.
 *
 * @throws TokenUnavailableError; TokenExpiredError
 */
export function answeredToken(answer: AnsweredToken, { name, requested, hint }: AnswerSource): AccessToken {
  const message = (what: string) =>
    `${name} returned ${what}${requested === undefined ? '' : ` for the ${requested}`}.`;
  const { token, expiresOn: given, refreshAfter, tokenType } = answer;
  if (!isTokenText(token)) {
    const what = token === '' ? 'an empty token' : 'a token with a character that a token cannot contain';
    throw new TokenUnavailableError(message(what), { hint });
  }
  const wrongType = wrongTokenType(tokenType);
  if (wrongType !== undefined) {
    throw new TokenUnavailableError(message(`a token ${wrongType}`), {
      hint: `SQL Server accepts bearer tokens only. ${hint}`,
    });
  }
  const exp = readJwtClaims(token)?.expiresOn ?? Number.POSITIVE_INFINITY;
  const expiresOn = Math.min(given !== undefined && Number.isFinite(given) ? given : Number.POSITIVE_INFINITY, exp);
  if (!Number.isFinite(expiresOn)) {
    throw new TokenUnavailableError(message('a token without its expiry'), { hint });
  }
  if (expiresOn <= Date.now()) {
    const at = expiresOn < -8.64e15 ? 'an unknown time' : new Date(expiresOn).toISOString();
    throw new TokenExpiredError(message(`a token that expired at ${at}`), {
      hint: `Compare the clock of this machine with the real time. ${hint}`,
    });
  }
  return { token, expiresOnTimestamp: expiresOn, refreshAfterTimestamp: refreshAfter };
}

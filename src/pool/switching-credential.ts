import type { AccessToken, Credential, TokenCredential } from '../credentials/credential.js';
import { defineCredential } from '../credentials/define-credential.js';
import { readJwtClaims } from '../credentials/entra/jwt-claims.js';
import { CredentialRejectedError } from '../errors.js';

/**
 * One identity whose credential changes: each call to a web API brings a new assertion of the same user. Tokens of anybody
 * else are refused, whoever made the mistake (P9).
 */
export interface SwitchingCredential {
  /** What the pool uses. */
  readonly credential: Credential;
  /** From now on tokens come from `next`. */
  switchTo(next: TokenCredential): void;
  /** @throws CredentialRejectedError for a token of another principal than the first one's */
  check<T extends AccessToken>(token: T): T;
}

export function switchingCredential(first: TokenCredential): SwitchingCredential {
  let current = first;
  let principal: string | undefined;

  function check<T extends AccessToken>(token: T): T {
    const whose = principalOf(token.token);
    principal ??= whose;
    if (whose === principal) return token;
    throw new CredentialRejectedError('A token of another principal came for this pool; it was not used.', {
      hint: 'One key of pools.for() stands for one principal: give each user or tenant a key of its own.',
    });
  }

  const credential = defineCredential({
    method: 'one-of-many',
    // A pool's own: nobody else shares its tokens.
    identity: [{}],
    requestTimeoutMs: (first as Credential).requestTimeoutMs,
    async request(scope, options) {
      const answer = await current.getToken(scope, options);
      return answer === null ? null : check(answer);
    },
  });
  return {
    credential,
    switchTo(next) {
      current = next;
    },
    check,
  };
}

/** Who a token speaks for; undefined where it does not tell, which is then so for all tokens of this principal. */
function principalOf(token: string): string | undefined {
  return readJwtClaims(token)?.principal;
}

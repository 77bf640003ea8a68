import type { Credential, TokenCredential } from '../credentials/credential.js';
import { defineCredential } from '../credentials/define-credential.js';
import { readJwtClaims } from '../credentials/entra/jwt-claims.js';
import { CredentialRejectedError } from '../errors.js';

/**
 * One identity whose credential changes: each call to a web API brings a new assertion of the same user. Tokens of another
 * principal are refused (P9).
 */
export interface SwitchingCredential {
  /** What the pool uses. */
  readonly credential: Credential;
  /** From now on tokens come from `next`. */
  switchTo(next: TokenCredential): void;
  /** @throws CredentialRejectedError for a token of another principal than the first one's */
  check(token: string): void;
}

export function switchingCredential(first: TokenCredential): SwitchingCredential {
  let current = first;
  let principal: string | undefined;

  function check(token: string): void {
    const own = principalOf(token);
    principal ??= own;
    if (own === principal) return;
    throw new CredentialRejectedError('The token is for another principal than this pool; it was not used.', {
      hint: 'One key of pools.for() stands for one principal: give each user or tenant a key of its own.',
    });
  }

  const credential = defineCredential({
    method: 'one-of-many',
    // A pool's own: its tokens are not shared.
    identity: [{}],
    requestTimeoutMs: (first as Credential).requestTimeoutMs,
    async request(scope, options) {
      const answer = await current.getToken(scope, options);
      if (answer !== null) check(answer.token);
      return answer;
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

/** Undefined if the token does not name its principal; then none of this principal's tokens do. */
function principalOf(token: string): string | undefined {
  return readJwtClaims(token)?.principal;
}

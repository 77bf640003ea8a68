import type { Credential, TokenCredential } from '../credentials/credential.js';
import { defineCredential } from '../credentials/define-credential.js';
import { CredentialRejectedError } from '../errors.js';
import { principalOf } from '../tokens/principal.js';

/**
 * One identity whose credential changes: each call to a web API brings a new assertion of the same user. Tokens of another
 * principal are refused (P9).
 */
export interface SwitchingCredential {
  /** The credential that the pool uses. */
  readonly credential: Credential;
  /** From now on tokens come from `next`. */
  switchTo(next: TokenCredential): void;
  /** @throws CredentialRejectedError for a token of a principal other than the first */
  check(token: string): void;
}

export function switchingCredential(first: TokenCredential): SwitchingCredential {
  let current = first;
  let own: { principal: string | undefined } | undefined;

  function check(token: string): void {
    const principal = principalOf(token);
    own ??= { principal };
    if (principal === own.principal) return;
    throw new CredentialRejectedError("The token is for a principal other than this pool's; it was not used.", {
      hint: 'One key of pools.for() stands for one principal: give each user or tenant its own key.',
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

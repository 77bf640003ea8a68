import type { TokenCredential } from '../../src/credentials/credential.js';
import { defineCredential } from '../../src/credentials/define-credential.js';

/** A credential that answers once; from then on, the identity provider hangs for longer than any test runs. */
export function oneTokenOf(credential: TokenCredential): TokenCredential {
  let answered = false;
  return defineCredential({
    method: 'one-token',
    identity: [{}],
    requestTimeoutMs: 600_000,
    async request(scope, options) {
      if (answered) return new Promise(() => {});
      answered = true;
      return credential.getToken(scope, options);
    },
  });
}

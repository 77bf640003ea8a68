import type { TokenCredential } from '../../src/credentials/credential.js';

/** A credential that answers once; from then on the identity provider hangs. */
export function oneTokenOf(credential: TokenCredential): TokenCredential {
  let answered = false;
  return {
    getToken(...request) {
      if (answered) return new Promise(() => {});
      answered = true;
      return credential.getToken(...request);
    },
  };
}

import type { OutlookSource } from './expiry-policy.js';
import type { TokenSource } from './token-login.js';

/** Without tokens (SQL login, NTLM) no request is ever in flight. */
const noTokens: OutlookSource = {
  outlook: () => ({ current: undefined, refreshingForMs: undefined, failing: false }),
  refreshed: () => Promise.resolve(),
};

/** A pool's tokens as the expiry policy sees them. */
export function outlookOf(source: TokenSource | undefined): OutlookSource {
  if (source === undefined) return noTokens;
  return {
    outlook() {
      // The scope may change once, when the server has named another.
      const current = source.tokens.current(source.scope);
      const { refresh, failure } = source.tokens.status(source.scope);
      return {
        current,
        refreshingForMs: refresh && performance.now() - refresh.startedAt,
        failing: failure !== undefined,
      };
    },
    refreshed: () => source.tokens.status(source.scope).refresh?.settled ?? Promise.resolve(),
  };
}

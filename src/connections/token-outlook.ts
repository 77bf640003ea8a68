import type { OutlookSource } from './expiry-policy.js';
import type { TokenSource } from './token-login.js';

/** Without tokens (SQL login, NTLM) nothing is on its way. */
const noTokens: OutlookSource = {
  outlook: () => ({ current: undefined, refreshingForMs: undefined, failing: false }),
  refreshed: () => Promise.resolve(),
};

/** What the expiry policy asks of a pool's tokens. */
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

import type { OutlookSource, TokenOutlook } from './expiry-policy.js';
import type { TokenSource } from './token-login.js';

/** Without tokens (SQL login, NTLM) no request is ever in flight. */
const noTokens: OutlookSource = {
  outlook: () => ({ current: undefined, refreshingForMs: undefined, failing: false }),
  refreshed: () => Promise.resolve(),
};

/** A pool's tokens as the expiry policy sees them. */
export function outlookOf(source: TokenSource | undefined): OutlookSource {
  return source === undefined ? noTokens : new SourceOutlook(source);
}

class SourceOutlook implements OutlookSource {
  readonly #source: TokenSource;

  constructor(source: TokenSource) {
    this.#source = source;
  }

  outlook(): TokenOutlook {
    // The scope may change once, when the server has named another.
    const { tokens, scope } = this.#source;
    const current = tokens.current(scope);
    const { refresh, failure } = tokens.status(scope);
    return {
      current,
      refreshingForMs: refresh && performance.now() - refresh.startedAt,
      failing: failure !== undefined,
    };
  }

  refreshed(): Promise<void> {
    const { tokens, scope } = this.#source;
    return tokens.status(scope).refresh?.settled ?? Promise.resolve();
  }
}

import type { AccessToken, GetTokenOptions, TokenCredential } from '../../src/index.js';

type Answer = AccessToken | null | Error | 'hang';

/** A driven identity provider: issues token-1, token-2, ... and records every request. */
export class FakeProvider implements TokenCredential {
  lifeMs: number;
  refreshInMs: number | undefined;
  delayMs = 0;
  /** The answers of the next requests instead of a token; the last one repeats if `sticky`. */
  next: Answer[] = [];
  sticky: Answer | undefined;
  requests: { at: number; scope: string; options: GetTokenOptions }[] = [];
  inFlight = 0;
  mostInFlight = 0;
  issued = 0;

  constructor(lifeMs = 3_600_000) {
    this.lifeMs = lifeMs;
  }

  async getToken(scope: string | string[], options: GetTokenOptions = {}): Promise<AccessToken | null> {
    this.requests.push({ at: Date.now(), scope: String(scope), options });
    this.inFlight += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    try {
      const answer = this.next.shift() ?? this.sticky;
      if (answer === 'hang') return await new Promise<never>(() => {});
      if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
      if (answer instanceof Error) throw answer;
      return answer === undefined ? this.issue() : answer;
    } finally {
      this.inFlight -= 1;
    }
  }

  issue(lifeMs = this.lifeMs): AccessToken {
    this.issued += 1;
    const now = Date.now();
    return {
      token: `token-${this.issued}`,
      expiresOnTimestamp: now + lifeMs,
      refreshAfterTimestamp: this.refreshInMs === undefined ? undefined : now + this.refreshInMs,
    };
  }
}

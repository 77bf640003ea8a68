/** One event of a {@link Timeline}. Times are epoch ms. */
export type TimelineEvent = { at: number } & (
  | {
      kind: 'opened';
      connection: string;
      tokenId?: string | undefined;
      tokenExpiresOn?: number | undefined;
      /** Duration of the login, ms. */
      durationMs?: number | undefined;
    }
  | { kind: 'closed'; connection: string; reason: string }
  /** `connection` took over from `replaced`, which then closed. */
  | { kind: 'renewed'; connection: string; replaced: string }
  | { kind: 'login-refused'; message: string }
  /** The connection broke before the server had answered. */
  | { kind: 'login-lost'; message: string }
  | { kind: 'token'; tokenId: string; expiresOn: number; durationMs: number }
  | { kind: 'token-failed'; message: string; durationMs: number }
  | { kind: 'token-refused'; tokenId: string }
  /** A caller waited `waitedMs` until `at`. */
  | { kind: 'wait'; waitedMs: number; gaveUp: boolean }
  /** The application saw an error. */
  | { kind: 'failure'; message: string }
);

/** What happened to one pool, for `timelineReport`. Plain data that survives JSON. */
export interface Timeline {
  title: string;
  /** Epoch ms. */
  from: number;
  /** Epoch ms. */
  to: number;
  /** Longest wait of a caller, ms, if the application measured it. Default: the longest of the `wait` events. */
  worstWaitMs?: number | undefined;
  events: TimelineEvent[];
}

/** One query of a session. A stored procedure call is `EXEC name`. */
export interface RecordedQuery {
  /** When it arrived, epoch ms. */
  readonly time: number;
  readonly sql: string;
  /** By name without `@`, as JavaScript values. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly spid: number;
  readonly principal: string;
  readonly database: string;
  /** What answered it: an expectation, a recording (`replay`), the emulator's own SQL, or `onQuery`; undefined if nothing did. */
  readonly answeredBy: 'expectation' | 'recording' | 'emulator' | 'onQuery' | undefined;
  /** Number of the SQL error, if it failed. */
  readonly error: number | undefined;
}

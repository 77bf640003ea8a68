import type { Timeline, TimelineEvent } from './timeline-events.js';

/** A login as the test kit's server recorded it: `server.logins`. */
export interface ServerLogin {
  time: number;
  tokenExpiry: number | undefined;
  accepted: boolean;
  error: { message: string } | 'dropped' | undefined;
  closed: number | undefined;
}

/**
 * The timeline of a pool that publishes no events, such as stock mssql, from the logins that the SQL emulator recorded.
 *
 * @param options `failures`: errors that the application saw; `worstWaitMs`: its longest wait for a query, ms
 * @example
 * const timeline = timelineOfLogins(server.logins, { title: 'stock mssql', from: started });
 */
export function timelineOfLogins(
  logins: readonly ServerLogin[],
  options: {
    title: string;
    from: number;
    to?: number;
    failures?: readonly { at: number; message: string }[];
    worstWaitMs?: number;
  },
): Timeline {
  const { title, from, to = Date.now(), failures = [], worstWaitMs } = options;
  const events: TimelineEvent[] = failures.map(({ at, message }) => ({ at, kind: 'failure', message }));
  logins.forEach((login, i) => {
    const { time: at, tokenExpiry, accepted, error, closed } = login;
    const connection = String(i + 1);
    if (!accepted) {
      const lost = error === undefined || error === 'dropped';
      if (lost) events.push({ at, kind: 'login-lost', message: 'The connection was cut during the login.' });
      else events.push({ at, kind: 'login-refused', message: error.message });
      return;
    }
    events.push({ at, kind: 'opened', connection, tokenExpiresOn: tokenExpiry });
    if (closed !== undefined) events.push({ at: closed, kind: 'closed', connection, reason: 'closed' });
  });
  return { title, from, to, worstWaitMs, events: events.sort((a, b) => a.at - b.at) };
}

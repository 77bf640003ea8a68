import type { Timeline, TimelineEvent } from './timeline-events.js';

/** A login as the test kit's server saw it: `server.logins`. */
export interface ServerLogin {
  time: number;
  tokenExpiry: number | undefined;
  accepted: boolean;
  error: { message: string } | 'dropped' | undefined;
  closed: number | undefined;
}

/**
 * The same picture from the other end of the line, for a pool that publishes no events, such as stock mssql: what the
 * test kit's SQL emulator saw of it.
 *
 * @param options `failures`: what the application saw go wrong
 * @example
 * const timeline = timelineOfLogins(server.logins, { title: 'mssql as it is', from: started });
 */
export function timelineOfLogins(
  logins: readonly ServerLogin[],
  options: { title: string; from: number; to?: number; failures?: readonly { at: number; message: string }[] },
): Timeline {
  const { title, from, to = Date.now(), failures = [] } = options;
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
  return { title, from, to, events: events.sort((a, b) => a.at - b.at) };
}

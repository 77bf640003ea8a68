import { requireKnownOptions } from '../known-options.js';
import { listen } from './listen.js';
import type { Timeline, TimelineEvent } from './timeline-events.js';

/** How a recorded timeline is labelled. */
export interface RecordTimelineOptions {
  /** Default: name of the pool. */
  title?: string | undefined;
}

/** Shorter waits, ms, are not recorded. */
const SHORTEST_WAIT_MS = 5;

/** A timeline that is being recorded; made by {@link recordTimeline}. */
export interface TimelineRecorder {
  /** Adds an error that the application saw, to be shown next to the events of the pool. */
  failure(error: unknown): void;
  /** The recording so far. */
  readonly timeline: Timeline;
  /** Stops recording. */
  stop(): Timeline;
  [Symbol.dispose](): void;
}

/**
 * Records what happens to one pool, or to all pools of this process: connections, logins, tokens, waits. Start it before
 * the pool is used. It keeps every event in memory, so it is meant for a demo, a test or an afternoon of debugging.
 *
 * @example
 * const recorder = recordTimeline(pool);
 * // ...
 * await writeFile('out.html', timelineReport([recorder.stop()]));
 */
export function recordTimeline(
  pool?: { readonly name: string },
  options: RecordTimelineOptions = {},
): TimelineRecorder {
  requireKnownOptions('recordTimeline()', options, { title: true });
  const { title = pool?.name ?? 'All pools' } = options;
  const from = Date.now();
  const events: TimelineEvent[] = [];
  let to: number | undefined;
  const add = (event: WithoutTime<TimelineEvent>): void => {
    events.push({ at: Date.now(), ...event } as TimelineEvent);
  };
  const ours = (name: string): boolean => pool === undefined || pool.name === name;

  const stopListening = listen({
    'connection:opened': ({ pool: of, connection, tokenId, tokenExpiresOn, durationMs }) =>
      ours(of) && add({ kind: 'opened', connection: String(connection), tokenId, tokenExpiresOn, durationMs }),
    'connection:evicted': ({ pool: of, connection, reason }) =>
      ours(of) && add({ kind: 'closed', connection: String(connection), reason }),
    'connection:renewed': ({ pool: of, connection, replaced }) =>
      ours(of) && add({ kind: 'renewed', connection: String(connection), replaced: String(replaced) }),
    'connection:login-failed': ({ pool: of, error, kind }) =>
      ours(of) && add({ kind: kind === 'unreachable' ? 'login-lost' : 'login-refused', message: error.message }),
    checkout: ({ pool: of, waitedMs }) =>
      ours(of) && waitedMs >= SHORTEST_WAIT_MS && add({ kind: 'wait', waitedMs, gaveUp: false }),
    'checkout:timed-out': ({ pool: of, waitedMs }) => ours(of) && add({ kind: 'wait', waitedMs, gaveUp: true }),
    'token:refreshed': ({ tokenId, expiresOn, durationMs }) => add({ kind: 'token', tokenId, expiresOn, durationMs }),
    'token:failed': ({ error, durationMs }) => add({ kind: 'token-failed', message: error.message, durationMs }),
    'token:invalidated': ({ tokenId }) => add({ kind: 'token-refused', tokenId }),
  });
  const stop = (): Timeline => {
    stopListening();
    to ??= Date.now();
    return snapshot();
  };
  const snapshot = (): Timeline => ({ title, from, to: to ?? Date.now(), events: [...events] });
  return {
    failure: (error) => add({ kind: 'failure', message: error instanceof Error ? error.message : String(error) }),
    get timeline() {
      return snapshot();
    },
    stop,
    [Symbol.dispose]: stop,
  };
}

type WithoutTime<E> = E extends { at: number } ? Omit<E, 'at'> : never;

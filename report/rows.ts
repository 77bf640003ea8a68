import type { Timeline, TimelineEvent } from '../src/telemetry/timeline-events.js';

/**
 * A connection while its token is valid, or after the token's expiry. Times are ms from the start of the page's data.
 */
export interface Bar {
  lane: string;
  from: number;
  to: number;
  token: string;
  beyondToken: boolean;
  text: string;
}

/** A single event, on the row of its kind. */
export interface Mark {
  lane: string;
  at: number;
  bad: boolean;
  /** Token that a refresh brought. */
  token: string | undefined;
  text: string;
}

export interface Picture {
  lanes: string[];
  bars: Bar[];
  marks: Mark[];
  /** When the tokens expire that connections logged in with. */
  tokenEnds: { at: number; token: string }[];
  tokens: string[];
  facts: { label: string; value: string; bad: boolean }[];
}

/** The number of marks that fit side by side. */
const MARKS_APART = 100;

const TOKENS = 'token requests';
const REFUSED = 'logins refused';
/** Cut by the network before the server had answered, which is not a refusal. */
const LOST = 'logins cut off';
const WAITS = 'waits';
const FAILURES = 'errors in the app';

/** Lays a timeline out: which connection is drawn in which lane, in which colour. */
export function pictureOf(timeline: Timeline, origin: number): Picture {
  const { events } = timeline;
  const end = timeline.to - origin;
  const tokens = tokenNames(events);
  const bars: Bar[] = [];
  const marks: Mark[] = [];
  const freeFrom: number[] = [];
  let opened = 0;
  let renewed = 0;

  for (const event of events) {
    const at = event.at - origin;
    switch (event.kind) {
      case 'opened': {
        opened += 1;
        const closing = events.find(
          (e) => e.kind === 'closed' && e.connection === event.connection && e.at >= event.at,
        );
        const to = closing === undefined ? end : closing.at - origin;
        const why = closing?.kind === 'closed' ? `closed at ${time(to)}: ${closing.reason}` : 'still open at the end';
        let lane = freeFrom.findIndex((free) => free <= at);
        if (lane === -1) lane = freeFrom.length;
        freeFrom[lane] = to;
        const token = tokens.get(event.tokenExpiresOn) ?? 'no token';
        const expiry = event.tokenExpiresOn === undefined ? Number.POSITIVE_INFINITY : event.tokenExpiresOn - origin;
        const login = event.durationMs === undefined ? '' : `, login took ${Math.round(event.durationMs)} ms`;
        const ends = Number.isFinite(expiry) ? `\n${token} ends at ${time(expiry)}` : '';
        const text = `connection ${event.connection}\nopened at ${time(at)}${login}${ends}\n${why}`;
        const bar = { lane: laneName(lane), token, text };
        bars.push({ ...bar, from: at, to: Math.max(at, Math.min(to, expiry)), beyondToken: false });
        if (to > expiry) bars.push({ ...bar, from: Math.max(at, expiry), to, beyondToken: true });
        break;
      }
      case 'renewed':
        renewed += 1;
        break;
      case 'token': {
        const token = tokens.get(event.expiresOn);
        const text = `${token} after ${Math.round(event.durationMs)} ms\nends at ${time(event.expiresOn - origin)}`;
        marks.push({ lane: TOKENS, at, bad: false, token, text });
        break;
      }
      case 'token-failed':
        marks.push({ lane: TOKENS, at, bad: true, token: undefined, text: event.message });
        break;
      case 'token-refused':
        marks.push({
          lane: TOKENS,
          at,
          bad: true,
          token: undefined,
          text: 'The server refused the token. It is not used again.',
        });
        break;
      case 'login-refused':
        marks.push({ lane: REFUSED, at, bad: true, token: undefined, text: event.message });
        break;
      case 'login-lost':
        marks.push({ lane: LOST, at, bad: false, token: undefined, text: event.message });
        break;
      case 'wait': {
        const text = `${event.gaveUp ? 'gave up after' : 'waited'} ${Math.round(event.waitedMs)} ms`;
        marks.push({ lane: WAITS, at, bad: event.gaveUp, token: undefined, text });
        break;
      }
      case 'failure':
        marks.push({ lane: FAILURES, at, bad: true, token: undefined, text: event.message });
        break;
    }
  }

  const merged = mergeClose(marks, (timeline.to - timeline.from) / MARKS_APART);
  const used = new Set(marks.map(({ lane }) => lane));
  const lanes = [
    ...[TOKENS, WAITS, REFUSED, LOST, FAILURES].filter((lane) => used.has(lane)),
    ...freeFrom.map((_, i) => laneName(i)),
  ];
  const count = (lane: string) => marks.filter((mark) => mark.lane === lane).length;
  const counted = (label: string, value: number, isFault = false) => ({
    label,
    value: String(value),
    bad: isFault && value > 0,
  });
  const longestWait = events.reduce((ms, event) => (event.kind === 'wait' ? Math.max(ms, event.waitedMs) : ms), 0);
  return {
    lanes,
    bars,
    marks: merged,
    tokens: [...new Set(tokens.values())],
    tokenEnds: [...tokens].flatMap(([expiresOn, token]) =>
      expiresOn === undefined || expiresOn - origin > end ? [] : [{ at: expiresOn - origin, token }],
    ),
    facts: [
      counted('connections opened', opened),
      counted('renewed in time', renewed),
      counted('logins refused', count(REFUSED), true),
      counted('errors in the app', count(FAILURES), true),
      { label: 'worst wait', value: `${Math.round(timeline.worstWaitMs ?? longestWait)} ms`, bad: false },
    ],
  };
}

/** Marks of one kind that would cover each other are merged into one that shows their number. */
function mergeClose(marks: readonly Mark[], apart: number): Mark[] {
  const merged: (Mark & { count: number })[] = [];
  const last = new Map<string, Mark & { count: number }>();
  for (const mark of [...marks].sort((a, b) => a.at - b.at)) {
    const kind = `${mark.lane} ${mark.bad} ${mark.token}`;
    const before = last.get(kind);
    if (before !== undefined && mark.at - before.at < apart) {
      before.count += 1;
      continue;
    }
    const next = { ...mark, count: 1 };
    last.set(kind, next);
    merged.push(next);
  }
  return merged.map(({ count, ...mark }) => (count === 1 ? mark : { ...mark, text: `${count} times: ${mark.text}` }));
}

/** `token 1` is the one that expires first. */
function tokenNames(events: readonly TimelineEvent[]): Map<number | undefined, string> {
  const ends = events.flatMap((event) => {
    if (event.kind === 'opened') return event.tokenExpiresOn ?? [];
    return event.kind === 'token' ? event.expiresOn : [];
  });
  return new Map([...new Set(ends)].sort((a, b) => a - b).map((end, i) => [end, `token ${i + 1}`]));
}

function laneName(index: number): string {
  return `connection ${index + 1}`;
}

/** Time from the start, in a suitable unit. */
export function time(ms: number): string {
  const abs = Math.abs(ms);
  if (abs < 120_000) return `${(ms / 1000).toFixed(abs < 10_000 ? 1 : 0)} s`;
  return abs < 7_200_000 ? `${(ms / 60_000).toFixed(1)} min` : `${(ms / 3_600_000).toFixed(1)} h`;
}

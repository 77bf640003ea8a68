/**
 * `mssql-token-pool/timeline`: a recording of tokens, logins and queries, and a page that draws it.
 *
 * @module mssql-token-pool/timeline
 */
export { type RecordTimelineOptions, recordTimeline, type TimelineRecorder } from './record-timeline.js';
export type { Timeline, TimelineEvent } from './timeline-events.js';
export { type ServerLogin, timelineOfLogins } from './timeline-of-logins.js';
export { timelineReport } from './timeline-report.js';

export { type RecordTimelineOptions, recordTimeline, type TimelineRecorder } from './record-timeline.js';
export type { Timeline, TimelineEvent } from './timeline-events.js';
export { type ServerLogin, timelineOfLogins } from './timeline-of-logins.js';
export { timelineReport } from './timeline-report.js';

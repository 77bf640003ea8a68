import { expect, test } from 'vitest';
import { TrafficRecorder } from '../../../src/testing/traffic/recorder.js';

test.each(['id', false, null, 5, {}, [5], ['id', undefined]])('refuses to keep %j', (keep) => {
  expect(() => new TrafficRecorder('/nowhere/recording.jsonl', { keep } as never)).toThrow(
    "recordTraffic: 'keep' must be true, an array of column names, or a function",
  );
});

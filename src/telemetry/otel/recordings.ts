/** A recording that all calls with one provider share. */
interface Recording {
  readonly end: () => void;
  users: number;
}

/**
 * Shared by all copies of this module in the process: a framework that reloads modules (Next.js, Jest) calls `instrument()` again, and
 * the events of a pool reach every copy.
 */
const REGISTRY = Symbol.for('mssql-token-pool.otel.recordings');

function registry(kind: 'metrics' | 'spans'): WeakMap<object, Recording> {
  const holder = globalThis as { [REGISTRY]?: Record<typeof kind, WeakMap<object, Recording>> };
  holder[REGISTRY] ??= { metrics: new WeakMap(), spans: new WeakMap() };
  return holder[REGISTRY][kind];
}

/**
 * Starts to record for a provider, unless a recording is already running. The returned function ends it for this
 * caller.
 */
export function recordOnce(kind: 'metrics' | 'spans', provider: object, start: () => () => void): () => void {
  const recordings = registry(kind);
  const recording = recordings.get(provider) ?? { end: start(), users: 0 };
  recordings.set(provider, recording);
  recording.users += 1;
  let stopped = false;
  return () => {
    if (stopped) return;
    stopped = true;
    recording.users -= 1;
    if (recording.users > 0) return;
    recordings.delete(provider);
    recording.end();
  };
}

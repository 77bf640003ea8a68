/** One of the pools that the demo compares, so far. */
export interface Progress {
  name: string;
  queries: number;
  failed: number;
}

/**
 * Fits a terminal of 80 columns and is truncated on a narrower one, because a wrapped line could not be overwritten by
 * the next.
 */
export function progressLine(elapsedSeconds: number, pools: readonly Progress[], columns = 80): string {
  const counts = pools.map(({ name, queries, failed }) => `${name}: ${queries}, ${failed} failed`);
  return `${elapsedSeconds.toFixed(0).padStart(3)} s   ${counts.join('   ')}`.slice(0, columns - 1);
}

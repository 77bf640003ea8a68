/** What the loop takes on the machine on which the limits were chosen, ms. */
const REFERENCE_MS = 20;
const TURNS = 12_000_000;

let slowness: number | undefined;

/** How much slower this machine is than that one, at least 1. Processor time, so that other processes do not count. */
function measure(): number {
  let fastest = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const before = process.cpuUsage();
    let sum = 0;
    for (let turn = 0; turn < TURNS; turn += 1) sum = (sum * 31 + turn) | 0;
    const { user, system } = process.cpuUsage(before);
    // Uses the sum, so that the loop is not removed.
    fastest = Math.min(fastest, (user + system) / 1000 + (sum === 1 ? 1 : 0));
  }
  return Math.max(1, fastest / REFERENCE_MS);
}

/** A limit on processor time in terms of the reference machine, as it is on this one. */
export function cpuLimitMs(ms: number): number {
  slowness ??= measure();
  return ms * slowness;
}

/** Runs `work`; `longestMs` is the most processor time between two turns of the event loop meanwhile. */
export async function cpuMsOf(work: () => Promise<void>): Promise<{ longestMs: number }> {
  let longestMs = 0;
  let before = process.cpuUsage();
  let isOver = false;
  const turn = (): void => {
    const { user, system } = process.cpuUsage(before);
    longestMs = Math.max(longestMs, (user + system) / 1000);
    before = process.cpuUsage();
    if (!isOver) setTimeout(turn, 1);
  };
  turn();
  try {
    await work();
  } finally {
    isOver = true;
    turn();
  }
  return { longestMs };
}

import { Random } from '../support/random.js';

const MINUTE = 60_000;

/** What is off by default in a pool. */
export interface Features {
  /** 0: off. */
  keepaliveMs: number;
  /** 0: off. */
  leakDetectionMs: number;
  /** 0: no limit. */
  maxOpening: number;
  /** Undefined: no companion pool for a read-only replica. */
  readOnly: { fallback: boolean } | undefined;
}

/** A firewall drops what is idle for longer than this multiple of the keepalive time. */
const PATIENCE = 1.5;

export function idleLimitOf({ keepaliveMs }: Features): number {
  return keepaliveMs > 0 ? PATIENCE * keepaliveMs : Number.POSITIVE_INFINITY;
}

/** Drawn by a generator of their own, so that existing seeds keep producing the same weather. */
export function featuresOf(seed: number, calm: boolean): Features {
  const random = new Random(seed ^ 0x5eed);
  const keepaliveMs = random.chance(0.3) ? random.pick([2 * MINUTE, 20 * MINUTE]) : 0;
  const leakDetectionMs = random.chance(0.2) ? random.pick([MINUTE, 30 * MINUTE]) : 0;
  const maxOpening = random.chance(0.2) ? random.pick([1, 2, 5]) : 0;
  const readOnly = random.chance(0.15) ? { fallback: random.chance(0.6) } : undefined;
  // Calm weather tests renewals: each pool has enough connections and opens them without a limit. Nothing is lost in it.
  return calm
    ? { keepaliveMs, leakDetectionMs: 0, maxOpening: 0, readOnly: undefined }
    : { keepaliveMs, leakDetectionMs, maxOpening, readOnly };
}

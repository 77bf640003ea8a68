/**
 * `mssql-token-pool/testing/conformance`: a suite that checks what any token pool must do. It brings its own identity
 * provider and SQL Server, so it needs no network, and takes about a minute.
 *
 * ```js
 * import { conformance } from 'mssql-token-pool/testing/conformance';
 * const report = await conformance(async ({ config, credential, max, acquireTimeoutMillis }) => {
 *   const pool = await openMyPool({ ...config, credential, max, acquireTimeoutMillis });
 *   return {
 *     acquire: () => pool.acquire(),
 *     release: (connection) => pool.release(connection),
 *     query: (connection, sql) => firstValue(connection, sql),
 *     close: () => pool.close(),
 *   };
 * });
 * report.filter(({ passed }) => !passed); // [{ id: 'warm-hand-over', seen: 'a caller waited 812 ms for a login', ... }]
 * ```
 *
 * @module mssql-token-pool/testing/conformance
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { requireKnownOptions } from '../known-options.js';
import { requireWorkingAdapter } from './adapter.js';
import { CHECKS, type Check } from './checks.js';
import type { OpenPool } from './pool-under-test.js';
import { firstLine, NotConformant, Site } from './site.js';

export type { OpenPool, PoolSetup, PoolUnderTest } from './pool-under-test.js';

/** Outcome of one requirement. */
export interface ConformanceResult {
  /** Stable name, e.g. `single-flight`. */
  id: string;
  /** The requirement, as a sentence about the pool. */
  title: string;
  passed: boolean;
  /** What was seen instead; undefined if the requirement holds. */
  seen: string | undefined;
}

/** Which requirements to check, and for how long. */
export interface ConformanceOptions {
  /** Names of the requirements to check. Default: all. */
  only?: readonly string[] | undefined;
  /** Time limit for one requirement, ms. Default 40,000. */
  timeoutMs?: number | undefined;
}

/** The requirements that {@link conformance} checks, in order. */
export const requirements: readonly { id: string; title: string }[] = CHECKS.map(({ id, title }) => ({ id, title }));

/**
 * Checks a pool against each requirement in turn and resolves with one result per requirement. A pool that hangs or throws
 * fails that requirement; the suite continues.
 *
 * @throws RangeError if `only` is empty or contains an unknown requirement, or `timeoutMs` is not greater than 0; TypeError if `open` is not a function or
 *   its pool lacks a method; Error if the pool cannot run `SELECT 1` with a fresh token, so that nothing can be checked
 */
export async function conformance(open: OpenPool, options: ConformanceOptions = {}): Promise<ConformanceResult[]> {
  requireKnownOptions('conformance', options, { only: true, timeoutMs: true });
  const { only, timeoutMs = 40_000 } = options;
  if (only !== undefined && !Array.isArray(only)) {
    throw new TypeError('conformance: only must be an array of requirement names.');
  }
  if (only?.length === 0) {
    throw new RangeError('conformance: only is empty, so nothing would be checked; leave it out to check everything.');
  }
  if (!(typeof timeoutMs === 'number' && timeoutMs > 0)) {
    throw new RangeError(`conformance: timeoutMs is ${String(timeoutMs)}; it must be a number greater than 0.`);
  }
  const unknown = only?.find((id) => !CHECKS.some((check) => check.id === id));
  if (unknown !== undefined) {
    throw new RangeError(
      `conformance: no requirement is named '${unknown}'; there are ${CHECKS.map(({ id }) => id).join(', ')}.`,
    );
  }
  await requireWorkingAdapter(open, (work) => within(timeoutMs, work));
  const results: ConformanceResult[] = [];
  for (const check of CHECKS) {
    if (only === undefined || only.includes(check.id)) results.push(await examine(check, open, timeoutMs));
  }
  return results;
}

async function examine(check: Check, open: OpenPool, timeoutMs: number): Promise<ConformanceResult> {
  const { id, title, entra = {}, server = {} } = check;
  const site = await Site.start(open, entra, server);
  try {
    await within(timeoutMs, check.run(site));
    return { id, title, passed: true, seen: undefined };
  } catch (error) {
    const seen = error instanceof Error ? firstLine(error) : 'a value that is not an Error was thrown';
    return { id, title, passed: false, seen: error instanceof NotConformant ? error.message : `failed: ${seen}` };
  } finally {
    await site.stop();
  }
}

async function within(timeoutMs: number, work: Promise<void>): Promise<void> {
  const limit = new AbortController();
  const timeout = sleep(timeoutMs, undefined, { signal: limit.signal }).then(() => {
    throw new NotConformant(`did not end within ${timeoutMs} ms`);
  });
  try {
    await Promise.race([work, timeout]);
  } finally {
    limit.abort();
  }
}

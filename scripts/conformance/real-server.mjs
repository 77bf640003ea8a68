import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { createCredential } from 'mssql-token-pool';
import { CHECKS, dropSchema, failureOf, NOT_RUN } from './real-checks.mjs';
import { RealSite } from './real-site.mjs';

/** Of the checks; with {@link CLEAN_UP_MS}, a run takes less than ten minutes. */
const LIMIT_MS = 9 * 60_000;
/** Of closing what is open and dropping the schema. */
const CLEAN_UP_MS = 30_000;
/** Lifetime that the tokens are declared to have in checks of expiry. */
const LIFETIME_MS = 20_000;

const PLAN = `This run logs in with your own credential, at most 20 times at once, and
  1. checks these requirements, with tokens that it declares to expire after ${LIFETIME_MS / 1000} s:
${CHECKS.map(({ title }) => `       ${title}`).join('\n')}
  2. logs in with an invalid token and to a database that does not exist, and records number, state and class of the refusals;
  3. creates a schema with a random name, with one table, and drops both;
  4. writes a report without tokens, server names or login names.
It ends after ${LIMIT_MS / 60_000} minutes at the latest, or at Ctrl+C, and then drops its schema as well.
It reads and changes nothing else. Nothing is sent to anyone.
Not checked, because a real server cannot be made to fail: ${Object.keys(NOT_RUN).join(', ')}.`;

/** Checks this package against a real server, with the caller's own credential. */
export async function examineRealServer({ server, database, authentication, yes, output, only, ...flags }) {
  process.stdout.write(`${PLAN}\n`);
  if (database === undefined) fail('--database is missing: name the database to log in to.');
  const unknown = only?.find((id) => !CHECKS.some((check) => check.id === id));
  if (unknown !== undefined)
    fail(`--only: there is no check ${unknown}; there are ${CHECKS.map(({ id }) => id).join(', ')}.`);
  if (!yes) {
    process.stdout.write('\nNothing has been done. Add --yes to go on.\n');
    return;
  }
  const target = { server, database, trustServerCertificate: flags['trust-server-certificate'] };
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort();
  process.once('SIGINT', interrupt);
  const onStep = ({ title, passed, notReached, seen, error }) => {
    const outcome = notReached !== undefined ? '-   ' : passed ? 'ok  ' : 'FAIL';
    const reason = notReached ?? seen ?? error?.seen ?? error?.code;
    process.stdout.write(`${outcome} ${title}${reason === undefined ? '' : ` (${reason})`}\n`);
  };
  const report = await examine(target, createCredential(authentication), { onStep, only, signal: interrupted.signal });
  process.removeListener('SIGINT', interrupt);
  const file = output ?? 'conformance-report.json';
  await writeFile(file, `${JSON.stringify(report, null, 2)}\n`);
  process.stdout.write(`Written to ${file}.\n`);
  if (report.leftBehind !== undefined) {
    const { leftBehind: schema } = report;
    process.stdout.write(
      `\nThe schema could not be dropped: DROP TABLE IF EXISTS ${schema}.rows; DROP SCHEMA IF EXISTS ${schema};\n`,
    );
  }
  const isComplete = report.stopped === undefined && report.leftBehind === undefined;
  process.exitCode = isComplete && report.steps.every(({ passed }) => passed !== false) ? 0 : 1;
}

/**
 * Runs the checks and resolves with the report. After `limitMs`, or when `signal` fires, the rest is listed as not reached; then
 * what is open is closed and the schema dropped, within `cleanUpMs`.
 */
export async function examine(target, credential, options = {}) {
  const {
    onStep = () => {},
    only,
    signal,
    limitMs = LIMIT_MS,
    cleanUpMs = CLEAN_UP_MS,
    lifetimeMs = LIFETIME_MS,
  } = options;
  const site = new RealSite(target, credential, lifetimeMs);
  const stop = stopAfter(limitMs, signal);
  const steps = [];
  for (const check of CHECKS) {
    if (only !== undefined && !only.includes(check.id)) continue;
    steps.push(await outcomeOf(check, site, stop));
    onStep(steps.at(-1));
    if (check.id === 'logs-in' && steps[0].passed === false) stop.because('the login failed');
  }
  stop.disarm();
  await Promise.race([cleanUp(site), sleep(cleanUpMs, undefined, { ref: false })]);
  site.dropConnections();
  site.stop();
  return {
    date: new Date().toISOString(),
    node: process.version,
    steps,
    notRun: NOT_RUN,
    stopped: stop.reason,
    leftBehind: site.schema,
  };
}

async function outcomeOf({ id, title, run }, site, stop) {
  if (stop.reason !== undefined) return { id, title, notReached: stop.reason };
  const startedAt = performance.now();
  const work = run(site).then((facts) => ({ passed: true, ...facts }), failureOf);
  const outcome = await Promise.race([work, stop.stopped.then(() => ({ notReached: stop.reason }))]);
  const ms = Math.round(performance.now() - startedAt);
  if (stop.reason === undefined) await site.closePools();
  return { id, title, ms, ...outcome };
}

function stopAfter(limitMs, signal) {
  const controller = new AbortController();
  const because = (reason) => controller.abort(reason);
  const timer = setTimeout(() => because(`the limit of ${Math.round(limitMs / 1000)} s was reached`), limitMs);
  const onSignal = () => because('interrupted');
  if (signal?.aborted) onSignal();
  signal?.addEventListener('abort', onSignal);
  return {
    stopped: once(controller.signal, 'abort'),
    get reason() {
      return controller.signal.reason;
    },
    because,
    disarm() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onSignal);
    },
  };
}

async function cleanUp(site) {
  // After the last check, nothing is open; a check that was stopped may wait for its server.
  site.dropConnections();
  await site.closePools();
  await dropSchema(site).catch(() => {});
  await site.closePools();
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}

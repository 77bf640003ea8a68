/**
 * The effect of a rollover on callers: 500 queries per second on a pool of 50, logins slowed down to 100 ms, a new token every
 * 8 s. The server also refuses an expired token within a session (37396), as Azure SQL does when it revalidates, so queries
 * fail in a pool that keeps a connection too long.
 */
import { check } from '../lib/check.mjs';
import { runFresh } from '../lib/child.mjs';
import { figureProgram } from '../lib/figure-program.mjs';
import { figure, interleaveMany, median, OURS } from '../lib/rounds.mjs';

const MSSQL = 'mssql, token-credential, validateConnection';
const STATIC = 'mssql, one static token';
const REBUILT = 'mssql, pool rebuilt at 3/4 of the lifetime';
const KNEX = 'knex, expirationChecker';
/**
 * The next token is requested after a quarter of a lifetime; connections on the old one remain usable until three quarters.
 * That is enough time for all of them to log in again one by one: a full pool replaces one connection at a time.
 */
const FULL = { size: 50, queriesPerSecond: 500, lifeSeconds: 32, refreshInSeconds: 8, seconds: 40 };
const QUICK = { size: 10, queriesPerSecond: 100, lifeSeconds: 8, refreshInSeconds: 2, seconds: 10 };
const HOLD_MS = 40;
const LOGIN_MS = 100;

/** @param {{ quick: boolean }} options */
async function measure({ quick }) {
  const about = { ...(quick ? QUICK : FULL), holdMs: HOLD_MS };
  const run = (/** @type {string} */ way) => async () => {
    const report = await runFresh('rollover-client.mjs', { way, ...about });
    if (way === 'ours') {
      check(report.failed === 0, `${report.failed} queries failed`);
      check(report.refused === 0, `${report.refused} logins refused`);
      check(report.rollovers > 0 && report.logins > 0, 'no token was replaced');
    }
    return report;
  };
  const contestants = {
    [OURS]: run('ours'),
    [MSSQL]: run('mssqlValidated'),
    [STATIC]: run('mssqlStatic'),
    [REBUILT]: run('mssqlRebuilt'),
    [KNEX]: run('knexChecked'),
  };
  const measured = await interleaveMany(contestants, { rounds: 1, warmUp: 0 });
  // A client whose queries fail at once, by the thousand, does not wait.
  const getThrough = [MSSQL, STATIC, REBUILT, KNEX].filter(
    (way) => median(measured.failed[way]) < about.queriesPerSecond,
  );
  const title = `rollover, pool of ${about.size}`;
  return [
    figure({
      ...{
        name: `${title}: p99 wait while connections are opened, relative to the rest`,
        unit: 'x',
        aim: '1.2 or less',
      },
      ...{ results: measured.ratio, reached: ({ ours }) => ours <= 1.2 },
    }),
    figure({
      ...{ name: `${title}: p99 wait for a connection`, unit: 'ms', against: REBUILT, results: measured.p99 },
      aim: 'shortest among those whose queries get through',
      reached: ({ ratios }) => getThrough.every((way) => ratios[way] < 1),
    }),
    figure({
      ...{ name: `${title}: longest wait for a connection`, unit: 'ms', aim: 'less than a login costs' },
      ...{ results: measured.longest, reached: ({ ours }) => ours < LOGIN_MS },
    }),
    figure({
      ...{ name: `${title}: queries that failed`, unit: 'failures', aim: '0', results: measured.failed },
      reached: ({ ours }) => ours === 0,
    }),
    figure({
      ...{ name: `${title}: most logins in a second`, unit: 'logins', aim: '10 or less: one after the other' },
      ...{ results: measured.loginsInASecond, reached: ({ ours }) => ours <= 10 },
    }),
  ];
}

await figureProgram(measure);

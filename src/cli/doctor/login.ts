import type { Connection } from 'tedious';
import { DialFailedError, dial } from '../../connections/dial.js';
import { tediousOf } from '../../connections/load-tedious.js';
import type { DoctorContext, StepResult } from './step.js';
import { describeSkew } from './token.js';

/** If logins take longer than this, ms, the doctor recommends opening a connection in advance. */
const SLOW_LOGIN_MS = 300;
const SKEW_WORTH_A_WORD_MS = 30_000;
const QUERIES = 5;

const WHO = `SELECT SUSER_SNAME() AS login_name, USER_NAME() AS user_name, DB_NAME() AS database_name, @@SPID AS spid`;
const WHAT = `SELECT @@VERSION AS version, CONVERT(nvarchar(128), SERVERPROPERTY('Edition')) AS edition,
  CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')) AS product_version, SYSUTCDATETIME() AS now`;

/** Step: one login attempt. */
export async function logIn(context: DoctorContext): Promise<{ result: StepResult; connection: Connection }> {
  const { settings } = context;
  const tedious = await tediousOf(settings);
  const startedAt = performance.now();
  try {
    const { connection } = await dial({
      tedious,
      configuration: settings.configuration,
      source: settings.source,
      signal: new AbortController().signal,
    });
    const loginMs = performance.now() - startedAt;
    if (loginMs > SLOW_LOGIN_MS && settings.pool.min === 0) {
      context.findings.push({
        text: `A login takes ${Math.round(loginMs)} ms: keep one connection open, so that no caller waits for it.`,
        setting: { key: 'pool.min', value: 1 },
      });
    }
    return { result: { lines: ['accepted'], facts: { loginMs: Math.round(loginMs) } }, connection };
  } catch (error) {
    throw error instanceof DialFailedError ? error.failure.error : error;
  }
}

/** Step: the login name, version and clock that SQL Server reports. */
export async function askWho(context: DoctorContext, connection: Connection): Promise<StepResult> {
  const [who] = await select(context, connection, WHO);
  const sentAt = context.now();
  const [what] = (await select(context, connection, WHAT)) as [{ now: Date; [column: string]: unknown }];
  const skew = Math.round((sentAt + context.now()) / 2 - what.now.getTime());
  const facts = {
    login: who?.login_name,
    user: who?.user_name,
    database: who?.database_name,
    spid: who?.spid,
    edition: what.edition,
    productVersion: what.product_version,
    version: String(what.version).split('\n')[0]?.trim(),
    serverClockSkewMs: skew,
  };
  if (Math.abs(skew) > SKEW_WORTH_A_WORD_MS) {
    context.findings.push({ text: `The clock of this machine is ${describeSkew(skew)} the server: set it (NTP).` });
  }
  const lines = [
    `login ${facts.login}, user ${facts.user} in ${facts.database}`,
    `${facts.edition} ${facts.productVersion}`,
    `clock: ${describeSkew(skew)} the server`,
  ];
  return { lines, facts };
}

/** Step: how long a query takes. */
export async function runQuery(context: DoctorContext, connection: Connection): Promise<StepResult> {
  const times: number[] = [];
  for (let i = 0; i < QUERIES; i += 1) {
    const startedAt = performance.now();
    await select(context, connection, 'SELECT 1 AS one');
    times.push(performance.now() - startedAt);
  }
  times.sort((a, b) => a - b);
  const medianMs = Number((times[Math.floor(QUERIES / 2)] as number).toFixed(1));
  return { lines: [`SELECT 1 takes ${medianMs} ms`], facts: { medianMs } };
}

async function select(context: DoctorContext, connection: Connection, sql: string): Promise<Record<string, unknown>[]> {
  const { Request } = await tediousOf(context.settings);
  return new Promise((resolve, reject) => {
    const rows: Record<string, unknown>[] = [];
    const request = new Request(sql, (error) => (error ? reject(error) : resolve(rows)));
    request.on('row', (columns: { metadata: { colName: string }; value: unknown }[]) => {
      rows.push(Object.fromEntries(columns.map(({ metadata, value }) => [metadata.colName, value])));
    });
    connection.execSql(request);
  });
}

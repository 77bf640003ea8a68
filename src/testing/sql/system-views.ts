import { BIT, INT, momentOf, nvarchar, type Scalar, type SqlType } from '../tds/data-type.js';
import type { ServerFacts } from './server-facts.js';
import type { SessionState } from './session.js';
import { ISOLATION_LEVELS } from './session-settings.js';

/** A table that exists in every database of the emulator. */
export interface SystemView {
  readonly columns: Readonly<Record<string, SqlType>>;
  rows(session: SessionState, facts: ServerFacts): Readonly<Record<string, Scalar>>[];
}

const SYSNAME = nvarchar(128);
const SMALLINT: SqlType = { name: 'smallint' };
const TINYINT: SqlType = { name: 'tinyint' };
const DATETIME: SqlType = { name: 'datetime' };
const SYSTEM_DATABASES = ['master', 'tempdb', 'model', 'msdb'];

/** All databases: the system databases, those of the options, and the session's current one. */
export function databaseNames(session: SessionState, { databases }: ServerFacts): string[] {
  const names = new Map(
    [...SYSTEM_DATABASES, ...(databases ?? []), session.database].map((name) => [name.toLowerCase(), name]),
  );
  return [...names.values()];
}

/** The system views, by lower-case name. Without VIEW SERVER STATE, a user sees only their own session. */
export const SYSTEM_VIEWS: ReadonlyMap<string, SystemView> = new Map([
  [
    'sys.databases',
    {
      columns: {
        name: SYSNAME,
        database_id: INT,
        create_date: DATETIME,
        compatibility_level: TINYINT,
        collation_name: SYSNAME,
        user_access_desc: nvarchar(60),
        is_read_only: BIT,
        state: TINYINT,
        state_desc: nvarchar(60),
        snapshot_isolation_state: TINYINT,
        is_read_committed_snapshot_on: BIT,
        recovery_model_desc: nvarchar(60),
      },
      rows: (session, facts) =>
        databaseNames(session, facts).map((name, i) => ({
          name,
          database_id: i + 1,
          create_date: momentOf(new Date(Date.UTC(2022, 10, 16))),
          compatibility_level: 160,
          collation_name: 'SQL_Latin1_General_CP1_CI_AS',
          user_access_desc: 'MULTI_USER',
          is_read_only: facts.readOnly(),
          state: 0,
          state_desc: 'ONLINE',
          snapshot_isolation_state: 0,
          is_read_committed_snapshot_on: false,
          recovery_model_desc: 'FULL',
        })),
    },
  ],
  [
    'sys.dm_exec_sessions',
    {
      columns: {
        session_id: SMALLINT,
        login_time: DATETIME,
        host_name: SYSNAME,
        program_name: SYSNAME,
        client_interface_name: nvarchar(32),
        login_name: SYSNAME,
        original_login_name: SYSNAME,
        status: nvarchar(30),
        database_id: SMALLINT,
        is_user_process: BIT,
        transaction_isolation_level: SMALLINT,
        open_transaction_count: INT,
        lock_timeout: INT,
        deadlock_priority: INT,
        date_first: SMALLINT,
        date_format: nvarchar(3),
        language: SYSNAME,
        text_size: INT,
        row_count: { name: 'bigint' },
        prev_error: INT,
        quoted_identifier: BIT,
        arithabort: BIT,
        ansi_null_dflt_on: BIT,
        ansi_defaults: BIT,
        ansi_warnings: BIT,
        ansi_padding: BIT,
        ansi_nulls: BIT,
        concat_null_yields_null: BIT,
      },
      rows: (session, facts) => {
        const option = (name: string): string => session.setOptions.get(name) ?? '';
        const on = (name: string): boolean => option(name) === 'ON';
        return [
          {
            session_id: session.spid,
            login_time: momentOf(new Date(session.loginTime)),
            host_name: session.hostName,
            program_name: session.appName,
            client_interface_name: session.library,
            login_name: session.actsAs,
            original_login_name: session.principal,
            status: 'running',
            database_id: databaseNames(session, facts).indexOf(session.database) + 1,
            is_user_process: true,
            transaction_isolation_level: ISOLATION_LEVELS.indexOf(session.isolationLevel) + 1,
            open_transaction_count: session.transactionDepth,
            lock_timeout: Number(option('LOCK_TIMEOUT')),
            deadlock_priority: { LOW: -5, HIGH: 5 }[option('DEADLOCK_PRIORITY').toUpperCase()] ?? 0,
            date_first: Number(option('DATEFIRST')),
            date_format: option('DATEFORMAT'),
            language: option('LANGUAGE'),
            text_size: Number(option('TEXTSIZE')),
            row_count: BigInt(session.rowCount),
            prev_error: session.lastError,
            quoted_identifier: on('QUOTED_IDENTIFIER'),
            arithabort: on('ARITHABORT'),
            ansi_null_dflt_on: on('ANSI_NULL_DFLT_ON'),
            ansi_defaults: on('ANSI_DEFAULTS'),
            ansi_warnings: on('ANSI_WARNINGS'),
            ansi_padding: on('ANSI_PADDING'),
            ansi_nulls: on('ANSI_NULLS'),
            concat_null_yields_null: on('CONCAT_NULL_YIELDS_NULL'),
          },
        ];
      },
    },
  ],
]);

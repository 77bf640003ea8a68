import { INT, nvarchar } from '../tds/data-type.js';
import type { Bound } from './bound.js';
import type { ServerFacts } from './server-facts.js';
import type { SessionState } from './session.js';
import { optionBits } from './session-settings.js';
import { databaseNames, SYSTEM_VIEWS } from './system-views.js';

/** `@@SPID` and other globals. */
export const GLOBALS: Readonly<Record<string, (session: SessionState, facts: ServerFacts) => Bound>> = {
  '@@SPID': ({ spid }) => ({ type: { name: 'smallint' }, get: () => spid }),
  '@@VERSION': (_, { version }) => ({ type: nvarchar(300), get: () => version }),
  '@@SERVERNAME': (_, { serverName }) => ({ type: nvarchar(128), get: () => serverName }),
  '@@TRANCOUNT': (session) => ({ type: INT, get: () => session.transactionDepth }),
  '@@ROWCOUNT': (session) => ({ type: INT, get: () => session.rowCount }),
  '@@ERROR': (session) => ({ type: INT, get: () => session.lastError }),
  '@@LANGUAGE': (session) => ({ type: nvarchar(128), get: () => session.setOptions.get('LANGUAGE') ?? null }),
  '@@IDENTITY': () => ({ type: { name: 'numeric', precision: 38, scale: 0 }, get: () => null }),
  '@@LOCK_TIMEOUT': (session) => ({ type: INT, get: () => Number(session.setOptions.get('LOCK_TIMEOUT')) }),
  '@@DATEFIRST': (session) => ({ type: { name: 'tinyint' }, get: () => Number(session.setOptions.get('DATEFIRST')) }),
  '@@TEXTSIZE': (session) => ({ type: INT, get: () => Number(session.setOptions.get('TEXTSIZE')) }),
  '@@OPTIONS': (session) => ({ type: INT, get: () => optionBits(session.setOptions) }),
  '@@NESTLEVEL': () => ({ type: INT, get: () => 0 }),
  '@@MICROSOFTVERSION': () => ({ type: INT, get: () => 0x100003e8 }),
  '@@MAX_PRECISION': () => ({ type: { name: 'tinyint' }, get: () => 38 }),
};

/** `DB_NAME()` and similar functions; their arguments are ignored. */
export const FACTS: Readonly<Record<string, (session: SessionState, facts: ServerFacts) => string>> = {
  DB_NAME: ({ database }) => database,
  SUSER_SNAME: ({ actsAs }) => actsAs,
  SUSER_NAME: ({ actsAs }) => actsAs,
  ORIGINAL_LOGIN: ({ principal }) => principal,
  SYSTEM_USER: ({ actsAs }) => actsAs,
  CURRENT_USER: ({ actsAs }) => actsAs,
  SESSION_USER: ({ actsAs }) => actsAs,
  USER_NAME: ({ actsAs }) => actsAs,
  SCHEMA_NAME: () => 'dbo',
  APP_NAME: ({ appName }) => appName,
  PROGRAM_NAME: ({ appName }) => appName,
  HOST_NAME: ({ hostName }) => hostName,
};

/** `SERVERPROPERTY(name)`; null for an unknown name, as in SQL Server. */
export function property(name: string, { serverName, versionNumber }: ServerFacts): string | number | null {
  switch (name.toLowerCase()) {
    case 'productversion':
      return versionNumber;
    case 'productmajorversion':
      return versionNumber.split('.')[0] as string;
    case 'productminorversion':
      return '0';
    case 'productlevel':
      return 'RTM';
    case 'isclustered':
    case 'ishadrenabled':
    case 'issingleuser':
    case 'isintegratedsecurityonly':
    case 'isfulltextinstalled':
      return 0;
    case 'edition':
      return 'Developer Edition (64-bit)';
    case 'engineedition':
      return 3;
    case 'collation':
      return 'SQL_Latin1_General_CP1_CI_AS';
    case 'servername':
    case 'machinename':
      return serverName;
    default:
      return null;
  }
}

/** `OBJECT_ID(name)` for temporary tables and system views; nothing else exists. */
export function objectId(name: string, session: SessionState): number | null {
  const parts = name.replaceAll(/[[\]"]/g, '').split('.');
  const last = parts.at(-1) ?? '';
  if (last.startsWith('#')) return session.temporary.idOf(last);
  const view = [...SYSTEM_VIEWS.keys()].indexOf(parts.slice(-2).join('.').toLowerCase());
  return view === -1 ? null : -385 - view;
}

/** `DB_ID(name)`; null if there is no such database. */
export function databaseId(name: string, session: SessionState, facts: ServerFacts): number | null {
  const index = databaseNames(session, facts).findIndex((each) => each.toLowerCase() === name.toLowerCase());
  return index === -1 ? null : index + 1;
}

/** `SESSIONPROPERTY(name)`; null for an option that is not a session property. */
export function sessionProperty(name: string, session: SessionState): number | null {
  const properties = ['ANSI_NULLS', 'ANSI_PADDING', 'ANSI_WARNINGS', 'ARITHABORT', 'CONCAT_NULL_YIELDS_NULL'];
  const option = name.trim().toUpperCase();
  if (![...properties, 'NUMERIC_ROUNDABORT', 'QUOTED_IDENTIFIER'].includes(option)) return null;
  return session.setOptions.get(option) === 'ON' ? 1 : 0;
}

/** `DATABASEPROPERTYEX(database, name)`; null for a database or property that does not exist. */
export function databaseProperty(
  database: string,
  name: string,
  session: SessionState,
  facts: ServerFacts,
): string | null {
  if (databaseId(database, session, facts) === null) return null;
  switch (name.toLowerCase()) {
    case 'updateability':
      return facts.readOnly() ? 'READ_ONLY' : 'READ_WRITE';
    case 'status':
      return 'ONLINE';
    case 'useraccess':
      return 'MULTI_USER';
    case 'recovery':
      return 'FULL';
    case 'collation':
      return 'SQL_Latin1_General_CP1_CI_AS';
    case 'version':
      return '957';
    default:
      return null;
  }
}

import { INT, nvarchar } from '../tds/data-type.js';
import type { Bound } from './bound.js';
import type { SessionState } from './session.js';

/** The version the emulator reports: SQL Server 2022. */
export const VERSION_NUMBER = '16.0.1000.6';

/** What the server and the session say about themselves. */

export interface ServerFacts {
  serverName: string;
  /** `@@VERSION`. */
  version: string;
  /** `SERVERPROPERTY('ProductVersion')`. */
  versionNumber: string;
  /** Null where any database exists. */
  databases: readonly string[] | null;
}

/** True if there is a database of that name. */
export function exists(database: string, facts: ServerFacts): boolean {
  return facts.databases === null || facts.databases.some((name) => name.toLowerCase() === database.toLowerCase());
}

/** `@@SPID` and its like. */
export const GLOBALS: Readonly<Record<string, (session: SessionState, facts: ServerFacts) => Bound>> = {
  '@@SPID': ({ spid }) => ({ type: { name: 'smallint' }, get: () => spid }),
  '@@VERSION': (_, { version }) => ({ type: nvarchar(300), get: () => version }),
  '@@SERVERNAME': (_, { serverName }) => ({ type: nvarchar(128), get: () => serverName }),
  '@@TRANCOUNT': (session) => ({ type: INT, get: () => session.transactionDepth }),
  '@@ROWCOUNT': (session) => ({ type: INT, get: () => session.rowCount }),
  '@@ERROR': (session) => ({ type: INT, get: () => session.lastError }),
  '@@LANGUAGE': () => ({ type: nvarchar(128), get: () => 'us_english' }),
  '@@IDENTITY': () => ({ type: { name: 'numeric', precision: 38, scale: 0 }, get: () => null }),
  '@@LOCK_TIMEOUT': () => ({ type: INT, get: () => -1 }),
  '@@DATEFIRST': () => ({ type: { name: 'tinyint' }, get: () => 7 }),
  '@@MAX_PRECISION': () => ({ type: { name: 'tinyint' }, get: () => 38 }),
};

/** `DB_NAME()` and its like; their arguments are not looked at. */
export const FACTS: Readonly<Record<string, (session: SessionState, facts: ServerFacts) => string>> = {
  DB_NAME: ({ database }) => database,
  SUSER_SNAME: ({ principal }) => principal,
  SUSER_NAME: ({ principal }) => principal,
  ORIGINAL_LOGIN: ({ principal }) => principal,
  SYSTEM_USER: ({ principal }) => principal,
  CURRENT_USER: ({ principal }) => principal,
  SESSION_USER: ({ principal }) => principal,
  USER_NAME: ({ principal }) => principal,
  SCHEMA_NAME: () => 'dbo',
  APP_NAME: ({ appName }) => appName,
  PROGRAM_NAME: ({ appName }) => appName,
  HOST_NAME: ({ hostName }) => hostName,
};

/** `SERVERPROPERTY(name)`; null for a name it does not know, as SQL Server has it. */
export function property(name: string, { serverName, versionNumber }: ServerFacts): string | null {
  switch (name.toLowerCase()) {
    case 'productversion':
      return versionNumber;
    case 'productlevel':
      return 'RTM';
    case 'edition':
      return 'Developer Edition (64-bit)';
    case 'engineedition':
      return '3';
    case 'collation':
      return 'SQL_Latin1_General_CP1_CI_AS';
    case 'servername':
    case 'machinename':
      return serverName;
    default:
      return null;
  }
}

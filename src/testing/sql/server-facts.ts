/** The version the emulator reports: SQL Server 2022. */
export const VERSION_NUMBER = '16.0.1000.6';

/** What the server reports about itself. */
export interface ServerFacts {
  /** The server's clock, epoch ms. */
  now(): number;
  serverName: string;
  /** `@@VERSION`. */
  version: string;
  /** `SERVERPROPERTY('ProductVersion')`. */
  versionNumber: string;
  /** True while databases are read-only (`Updateability`). */
  readOnly(): boolean;
  /** Null if every database name exists. */
  databases: readonly string[] | null;
}

/** True if there is a database of that name. */
export function exists(database: string, facts: ServerFacts): boolean {
  return facts.databases === null || facts.databases.some((name) => name.toLowerCase() === database.toLowerCase());
}

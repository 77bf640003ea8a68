import type { ServerFacts } from '../tsql/facts.js';
import type { LoginFaults } from './login-faults.js';
import type { LoginRecord, SqlEmulatorOptions, TokenAuthority } from './options.js';
import type { ServerTls } from './tls.js';

/** What the connections of one server share. */
export interface ServerContext {
  readonly options: Readonly<SqlEmulatorOptions>;
  /** SQL logins that are checked here; undefined where the server upstream checks them. */
  readonly users: Readonly<Record<string, string>> | undefined;
  readonly authority: TokenAuthority | undefined;
  readonly audience: readonly string[];
  readonly tls: ServerTls;
  readonly facts: ServerFacts;
  readonly faults: LoginFaults;
  now(): number;
  /** Resolves when the server goes on; undefined if it is not paused. */
  running(): Promise<void> | undefined;
  nextSpid(): number;
  recordLogin(record: LoginRecord): void;
  decidedLogin(record: LoginRecord): void;
  recordClear(chunk: Buffer): void;
  recordUpstreamError(error: Error): void;
  recordProtocolError(error: Error, clientAddress: string): void;
}

/** The version the server says it has: SQL Server 2022. */
export const VERSION = [16, 0, 1000] as const;
export const VERSION_NUMBER = '16.0.1000.6';

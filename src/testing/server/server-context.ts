import type { ServerTls } from '../tds/tls.js';
import type { LoginFaults } from './login-faults.js';
import type { LoginRecord, TdsServerOptions, TokenAuthority } from './options.js';
import type { SessionHost } from './session-host.js';

/** What the connections of one server share. */
export interface ServerContext {
  readonly options: Readonly<TdsServerOptions>;
  /** Where accepted clients get their session. */
  readonly host: SessionHost;
  /** SQL logins that are checked here; undefined where the server upstream checks them. */
  readonly users: Readonly<Record<string, string>> | undefined;
  readonly authority: TokenAuthority | undefined;
  readonly audience: readonly string[];
  readonly tls: ServerTls;
  /** `@@SERVERNAME`. */
  readonly serverName: string;
  readonly faults: LoginFaults;
  now(): number;
  /** Resolves when the server goes on; undefined if it is not paused. */
  running(): Promise<void> | undefined;
  nextSpid(): number;
  recordLogin(record: LoginRecord): void;
  decidedLogin(record: LoginRecord): void;
  recordClear(chunk: Buffer): void;
  recordProtocolError(error: Error, clientAddress: string): void;
}

/** The version in every login response: SQL Server 2022. */
export const VERSION = [16, 0, 1000] as const;

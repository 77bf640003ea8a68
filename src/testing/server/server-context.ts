import type { ServerTls } from '../tds/tls.js';
import type { LoginFaults } from './login-faults.js';
import type { LoginRecord, TdsServerOptions, TokenAuthority } from './options.js';
import type { SessionHost } from './session-host.js';

/** State shared by the connections of one server. */
export interface ServerContext {
  readonly options: Readonly<TdsServerOptions>;
  /** Opens the sessions of accepted clients. */
  readonly host: SessionHost;
  /** SQL logins to check here; undefined if the upstream server checks them. */
  readonly users: Readonly<Record<string, string>> | undefined;
  readonly authority: TokenAuthority | undefined;
  readonly audience: readonly string[];
  readonly tls: ServerTls;
  /** `@@SERVERNAME`. */
  readonly serverName: string;
  readonly faults: LoginFaults;
  now(): number;
  /** Resolves when the server resumes; undefined if it is not paused. */
  running(): Promise<void> | undefined;
  nextSpid(): number;
  recordLogin(record: LoginRecord): void;
  decidedLogin(record: LoginRecord): void;
  recordClear(chunk: Buffer): void;
  recordProtocolError(error: Error, clientAddress: string): void;
}

/** The version in every login response: SQL Server 2022. */
export const VERSION = [16, 0, 1000] as const;

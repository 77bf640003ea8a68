import type { Login7 } from '../tds/login7.js';
import type { MessageStream } from '../tds/message-stream.js';
import type { Response } from '../tds/response.js';
import type { SqlServerError } from '../tds/server-error.js';

/** A principal whose password or token has been checked, or whose SQL login the upstream server will check. */
export interface ProvenPrincipal {
  /** Client id or user name of the token, or the SQL login. For display only; never grant access by it. */
  principal: string;
  /** Names that the token issuer vouches for: client id or user name, and object id. Empty for a SQL login. */
  names: readonly string[];
  /** Epoch ms; undefined for a SQL login. */
  tokenExpiry: number | undefined;
  byToken: boolean;
}

/** An authenticated client, as passed to a {@link SessionHost}. */
export interface LoggedInClient {
  readonly login: Login7;
  readonly who: ProvenPrincipal;
  readonly messages: MessageStream;
  readonly tdsVersion: number;
  /** A response to this client, with the packet size and session id of {@link agree}. */
  newResponse(): Response;
  /** Sets packet size and session id for everything sent from now on. */
  agree(session: { packetSize: number; spid: number }): void;
  /** The error for a request whose session token has expired, if the server is set to check that. */
  expiryRefusal(type: number, status: number): SqlServerError | undefined;
  /** Sends an error as the complete answer to a request. */
  refuse(error: SqlServerError): void;
  /** Returns the same answer as packets, without sending it. */
  refusal(error: SqlServerError): Buffer;
  /** Calls back when the connection is closed. */
  onClose(listener: () => void): void;
}

export interface OpenSession {
  /** `@@SPID`. */
  spid: number;
  /** Serves the client until it leaves. */
  serve(): Promise<void>;
}

/** Hosts the sessions: the emulator answers them itself, the gateway forwards them to another server. */
export interface SessionHost {
  /** Sends the login response and opens a session; throws the `SqlServerError` if the login is still refused. */
  openSession(client: LoggedInClient): Promise<OpenSession>;
}

/** 18456 closes the connection; after 37396 the session stays open but cannot run queries. */
export function closesConnection(refusal: SqlServerError): boolean {
  return refusal.number === 18_456;
}

import type { Login7 } from '../tds/login7.js';
import type { MessageStream } from '../tds/message-stream.js';
import type { Response } from '../tds/response.js';
import type { SqlServerError } from '../tds/server-error.js';

/** A principal whose password or token has been checked, or whose SQL login the server upstream is to check. */
export interface ProvenPrincipal {
  /** Client id or user name of the token, or the SQL login: for display, never to grant anything by. */
  principal: string;
  /** Names the issuer of the token vouches for: client id or user name, and object id. Empty for a SQL login. */
  names: readonly string[];
  /** Epoch ms; undefined for a SQL login. */
  tokenExpiry: number | undefined;
  byToken: boolean;
}

/** A client that has proved its identity, as a {@link SessionHost} sees it. */
export interface LoggedInClient {
  readonly login: Login7;
  readonly who: ProvenPrincipal;
  readonly messages: MessageStream;
  readonly tdsVersion: number;
  /** A response to this client, in the packet size and with the session id of {@link agree}. */
  newResponse(): Response;
  /** Settles packet size and session id for everything that is sent from now on. */
  agree(session: { packetSize: number; spid: number }): void;
  /** The error for a request of a session whose token has expired, where the server is set to notice. */
  expiryRefusal(type: number, status: number): SqlServerError | undefined;
  /** Sends an error as the whole answer to a request. */
  refuse(error: SqlServerError): void;
  /** The same as packets, unsent. */
  refusal(error: SqlServerError): Buffer;
  /** Calls back once the connection is closed. */
  onClose(listener: () => void): void;
}

export interface OpenSession {
  /** `@@SPID`. */
  spid: number;
  /** Serves the client until it leaves. */
  serve(): Promise<void>;
}

/** Where sessions live: the emulator answers them itself, the gateway passes them on to another server. */
export interface SessionHost {
  /** Sends the login response and opens a session; throws the `SqlServerError` for a login that is refused after all. */
  openSession(client: LoggedInClient): Promise<OpenSession>;
}

/** 18456 closes the connection; after 37396 the session stays, but can run nothing more. */
export function closesConnection(refusal: SqlServerError): boolean {
  return refusal.number === 18_456;
}

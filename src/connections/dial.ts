import type { Socket } from 'node:net';
import type { Connection, ConnectionConfiguration } from 'tedious';
import { ConfigurationError, PoolClosedError } from '../errors.js';
import type { CachedToken } from '../tokens/cached-token.js';
import { classifyLoginFailure, type LoginFailure, type ServerMessage } from './login-failure.js';
import { openSession, type Session } from './session.js';
import { TokenLogin, type TokenSource } from './token-login.js';

/** The part of the `tedious` module that is used; any copy of tedious >= 19.2 fits. */
export type TediousModule = Pick<typeof import('tedious'), 'Connection' | 'Request'>;

export interface DialOptions {
  tedious: TediousModule;
  /** tedious's own configuration; `authentication` is replaced when `source` is given. */
  configuration: ConnectionConfiguration;
  /** Where the token comes from; undefined for SQL login and NTLM. */
  source: TokenSource | undefined;
  /** mssql's hook: sees the connection before anything is sent. */
  beforeConnect?: ((connection: Connection) => void) | undefined;
  signal: AbortSignal;
}

/** A dial that did not end in a session, with what that means. */
export class DialFailedError extends Error {
  override name = 'DialFailedError';
  readonly failure: LoginFailure;
  /** The token that was sent, if one was. */
  readonly token: CachedToken | undefined;

  constructor(failure: LoginFailure, token: CachedToken | undefined) {
    super(failure.error.message, { cause: failure.error });
    this.failure = failure;
    this.token = token;
  }
}

/**
 * Opens one physical connection: one attempt, no retry. The caller has put a usable token into the cache before, so a
 * slow identity provider never eats `connectTimeout`.
 *
 * @throws DialFailedError with the classified cause; PoolClosedError when `signal` fires; ConfigurationError when
 *   `beforeConnect` throws, or tedious refuses an option
 */
export function dial(options: DialOptions): Promise<Session> {
  const { tedious, configuration, source, signal } = options;
  const login = source && new TokenLogin(source, configuration.options?.encrypt === 'strict');
  const messages: ServerMessage[] = [];

  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(givenUp());
      return;
    }
    let connection: Connection;
    try {
      connection = new tedious.Connection(login ? withCredential(configuration, login.credential) : configuration);
    } catch (error) {
      // Nothing has been sent: an option is of the wrong kind, which says nothing about the server.
      reject(new ConfigurationError(`tedious refuses the config: ${(error as Error).message}`, { cause: error }));
      return;
    }
    const detach = login?.attach(connection);
    const onMessage = (message: ServerMessage): void => {
      messages.push(message);
    };
    connection.on('errorMessage', onMessage);
    connection.on('error', markFailed);
    const onAbort = (): void => {
      login?.cancel();
      reject(givenUp());
      hangUp(connection);
    };
    signal.addEventListener('abort', onAbort, { once: true });

    connection.connect((error?: Error | null) => {
      signal.removeEventListener('abort', onAbort);
      connection.off('errorMessage', onMessage);
      detach?.();
      if (error) {
        reject(failed(error));
        return;
      }
      // tedious 19 logs in although it was closed while connecting.
      if (signal.aborted) hangUp(connection);
      else resolve(openSession(connection, login?.token));
    });
    try {
      options.beforeConnect?.(connection);
    } catch (error) {
      signal.removeEventListener('abort', onAbort);
      login?.cancel();
      reject(new ConfigurationError(`beforeConnect threw: ${(error as Error)?.message}`, { cause: error }));
      hangUp(connection);
    }
  });

  function failed(error: Error): DialFailedError {
    const failure = classifyLoginFailure({
      error,
      messages,
      token: login?.token,
      credentialFailure: login?.failure,
      server: configuration.server,
    });
    return new DialFailedError(failure, login?.token);
  }
}

/** Closes a connection in whatever state it is. */
export function hangUp(connection: Connection): void {
  // Without an error on its socket, tedious 19 sits out connectTimeout although it was told to close.
  const { socket } = connection as unknown as { socket?: Socket };
  // tedious 20 takes its own listener off when it closes, and an error that nobody listens for ends the process.
  socket?.on('error', () => {});
  socket?.destroy(new Error('The connection attempt was given up.'));
  connection.close();
}

/** An error on an established connection must not crash the process; it is marked the way mssql marks it. */
function markFailed(this: Connection): void {
  // Not a closure: that would keep everything about the dial for as long as the connection lives.
  (this as { hasError?: boolean }).hasError = true;
}

function withCredential({ server, options }: ConnectionConfiguration, credential: object): ConnectionConfiguration {
  const authentication = { type: 'token-credential', options: { credential } };
  return {
    server,
    options: options ?? {},
    authentication: authentication as NonNullable<ConnectionConfiguration['authentication']>,
  };
}

function givenUp(): PoolClosedError {
  return new PoolClosedError('The connection attempt was given up.');
}

import type { Socket } from 'node:net';
import type { Connection, ConnectionConfiguration } from 'tedious';
import { ConfigurationError } from '../errors.js';
import type { CachedToken } from '../tokens/cached-token.js';
import { abortConnect } from './abort-connect.js';
import { boundConnector } from './bound-connector.js';
import { newGuardedConnection } from './guarded-connection.js';
import { classifyLoginFailure, type LoginFailure } from './login-failure.js';
import { LoginGuard, shrinkListeners } from './login-guard.js';
import { openSession, type Session } from './session.js';
import { makeResettable } from './session-reset.js';
import { TokenLogin, type TokenSource } from './token-login.js';

/** The part of the `tedious` module that is used; any copy of tedious >= 19.2 fits. */
export type TediousModule = Pick<typeof import('tedious'), 'Connection' | 'Request'>;

export interface DialOptions {
  tedious: TediousModule;
  /** tedious's own configuration; `authentication` is replaced when `source` is given. */
  configuration: ConnectionConfiguration;
  /** Where the token comes from; undefined for SQL login and NTLM. */
  source: TokenSource | undefined;
  /** mssql's hook: called with the connection before anything is sent. */
  beforeConnect?: ((connection: Connection) => void) | undefined;
  /**
   * Ends the dial at once. It rejects with the reason; only a `DialTimeout` is classified, as a failure of the server.
   */
  signal: AbortSignal;
  /** Age limit of the session, ms; 0 or undefined for none. */
  maxAgeMillis?: number | undefined;
  /** Whether the session is reset between borrowers. */
  resets?: boolean | undefined;
}

/** A failed dial, classified. */
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

/** The time to open a connection has run out. */
export class DialTimeout extends Error {
  override name = 'DialTimeout';
  readonly code = 'ETIMEOUT';
}

/**
 * Opens one physical connection: one attempt, no retry. The caller has put a usable token into the cache before, so a
 * slow identity provider never uses up `connectTimeout`.
 *
 * Settles whatever tedious, the server or a custom `connector` does, at the latest when `signal` is aborted.
 *
 * @throws DialFailedError with the classified cause; the reason of `signal`; ConfigurationError when `beforeConnect` throws,
 *   tedious refuses an option or cannot reset a session
 */
export async function dial({
  tedious,
  configuration,
  source,
  beforeConnect,
  signal,
  maxAgeMillis,
  resets = false,
}: DialOptions): Promise<Session> {
  signal.throwIfAborted();
  const startedAt = performance.now();
  const login = source && new TokenLogin(source);
  const connection = create(
    tedious,
    boundConnector(login ? withCredential(configuration, login) : configuration, signal),
  );
  if (resets) makeResettable(connection);
  const guard = new LoginGuard(connection);
  login?.bind(guard);
  connection.on('error', markFailed);
  const failed = new AbortController();
  const connectsForGood = abortConnect(connection, failed.signal);
  try {
    await connected(connection, guard, beforeConnect, signal);
    connectsForGood();
    return openSession(connection, login?.token, { maxAgeMillis, dialMs: performance.now() - startedAt });
  } catch (error) {
    failed.abort(error);
    hangUp(connection);
    if (
      error instanceof ConfigurationError ||
      (signal.aborted && error === signal.reason && !(error instanceof DialTimeout))
    )
      throw error;
    const { server } = configuration;
    const failure = classifyLoginFailure({
      error: error as Error,
      messages: guard.messages,
      token: login?.token,
      credentialFailure: login?.failure,
      server,
    });
    throw new DialFailedError(failure, login?.token);
  } finally {
    guard.end();
    login?.end(connection);
    shrinkListeners(connection);
  }
}

/** Nothing has been sent yet: an option has the wrong type, which says nothing about the server. */
function create(tedious: TediousModule, configuration: ConnectionConfiguration): Connection {
  try {
    return newGuardedConnection(tedious, configuration);
  } catch (error) {
    throw new ConfigurationError(`tedious refuses the config: ${(error as Error)?.message}`, { cause: error });
  }
}

function connected(
  connection: Connection,
  guard: LoginGuard,
  beforeConnect: DialOptions['beforeConnect'],
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let settled = false;
    const settle = (error?: Error | null): void => {
      signal.removeEventListener('abort', onAbort);
      if (error) reject(error);
      else if (!settled) resolve();
      // tedious 19 logs in although it was closed while it was connecting.
      else hangUp(connection);
      settled = true;
    };
    const onAbort = (): void => {
      guard.cancel(signal.reason);
      settle(signal.reason);
    };
    signal.addEventListener('abort', onAbort);
    guard.begin();
    connection.connect(settle);
    try {
      beforeConnect?.(connection);
    } catch (error) {
      const failure = new ConfigurationError(`beforeConnect threw: ${(error as Error)?.message}`, { cause: error });
      guard.cancel(failure);
      settle(failure);
    }
  });
}

/** Closes a connection in any state. */
export function hangUp(connection: Connection): void {
  // Without an error on its socket, tedious 19 waits out connectTimeout although it was closed.
  const { socket } = connection as unknown as { socket?: Socket };
  // tedious 20 removes its own listener when it closes, and an error without a listener ends the process.
  socket?.on('error', () => {});
  socket?.destroy(new Error('The connection attempt was abandoned.'));
  connection.close();
}

/** An error on an established connection must not crash the process; it is marked the way mssql marks it. */
function markFailed(this: Connection): void {
  // Not a closure, which would keep all objects of the dial in memory for the life of the connection.
  (this as { hasError?: boolean }).hasError = true;
}

function withCredential(
  { server, options }: ConnectionConfiguration,
  { credential }: TokenLogin,
): ConnectionConfiguration {
  const authentication = { type: 'token-credential', options: { credential } };
  return {
    server,
    options: options ?? {},
    authentication: authentication as NonNullable<ConnectionConfiguration['authentication']>,
  };
}

import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { Connection } from 'tedious';
import { replaceMethod } from './replace-method.js';
import { noteAnswer } from './session.js';

/** A login response is a few hundred bytes; a longer one than this is refused. */
const MAX_LOGIN_RESPONSE_BYTES = 256 * 1024;

/** tedious's states after the login; until then a failure fails the login, afterwards the session. */
const AFTER_LOGIN = new Set(['LoggedIn', 'SentClientRequest', 'SentAttention', 'Final']);

interface TokenStreamParser extends EventEmitter {
  /** tedious 18 to 20.2.2: a Readable of tokens. */
  parser?: EventEmitter | undefined;
}

type CreateParser = (
  this: ContainedConnection,
  message: AsyncIterable<Buffer>,
  handler: { constructor: { name: string } },
) => TokenStreamParser;

/** The parts of a tedious connection that are used here. */
export interface ContainedConnection {
  socket?: Socket | undefined;
  state?: { name: string } | undefined;
  createTokenStreamParser?: CreateParser;
  request?: unknown;
}

/**
 * Garbage from the server fails its connection, not the process. The token parser of tedious before 20.2.3 emits an
 * 'error' that has no listener when it meets something that is not a token, and throws inside a stream's 'data' event
 * when it meets a token that does not belong there (tediousjs/tedious #1764 fixed both).
 *
 * `createTokenStreamParser` is the method through which a connection makes each of its parsers. It is replaced on this one
 * connection; the application's tedious stays as it is. A tedious without the method, or with a parser of another form, is left alone.
 */
export function containParser(connection: ContainedConnection): void {
  if (typeof connection.createTokenStreamParser !== 'function') return;
  replaceMethod(connection, 'createTokenStreamParser', createContainedParser);
}

const createContainedParser: CreateParser = function (message, handler) {
  const { createTokenStreamParser: create } = Object.getPrototypeOf(this) as { createTokenStreamParser: CreateParser };
  const isLogin = !AFTER_LOGIN.has(this.state?.name ?? '');
  if (isLogin) Object.assign(handler, REFUSES_ROWS);
  const parser = create.call(this, isLogin ? bounded(message) : message, handler);
  if (!isLogin) {
    noteAnswer(this as unknown as Connection);
    endWithRequest(this, parser);
  }
  const { parser: tokens } = parser;
  const { socket } = this;
  if (socket === undefined) return parser;

  const fail = (cause: unknown): void => {
    // Not the message of the cause: it may quote anything from the garbled answer.
    const error = invalidResponse(cause);
    failLogin(error);
    // Destroying the socket ends the request; the rest of the same answer must not end it a second time.
    if (!isLogin) parser.removeAllListeners('end');
    socket.on('error', () => {});
    socket.destroy(error);
  };
  /** tedious 19 waits for the end of a login response and for nothing else, not even the end of the socket. */
  const failLogin = (error: Error): void => {
    if (isLogin && parser.listenerCount('error') > 0) parser.emit('error', error);
  };
  if (isLogin) {
    const onClose = (): void => failLogin(socket.errored ?? hangUp());
    socket.once('close', onClose);
    parser.once('end', () => socket.off('close', onClose));
  }
  if (typeof tokens?.on !== 'function') return parser;
  /**
   * An error thrown by a listener of the application. The stream of tokens catches it and emits it as its own error.
   */
  let notOurs: { error: unknown } | undefined;
  tokens.on('error', (error: unknown) => {
    // The process ends with it, as it does with stock tedious.
    if (notOurs !== undefined && notOurs.error === error) throw error;
    fail(error);
  });
  const [onToken] = tokens.listeners('data') as ((token: unknown) => void)[];
  if (onToken === undefined) return parser;
  tokens.off('data', onToken);
  tokens.on('data', (token: unknown) => {
    try {
      onToken(token);
    } catch (error) {
      if (!isLogin && !isThrownByHandler(error)) {
        notOurs = { error };
        throw error;
      }
      fail(error);
      return;
    }
    if ((token as { name?: unknown }).name === 'ERROR') describeErrors((handler as { request?: RequestLike }).request);
  });
  return parser;
};

/**
 * Drops the end of an answer whose request is over: its connection was closed while the answer arrived, or its cancellation
 * took too long. tedious 18 to 20 fails the request at once, forgets it, and calls its callback at the end of the
 * answer all the same: a TypeError, which ends the process.
 */
function endWithRequest(connection: ContainedConnection, parser: TokenStreamParser): void {
  const { request } = connection;
  const { emit } = parser;
  parser.emit = (event: string | symbol, ...args: unknown[]) =>
    (event !== 'end' || connection.request === request) && emit.call(parser, event, ...args);
}

function refuseRows(): never {
  throw invalidResponse(new Error('The server sent rows during the login.'));
}

/**
 * A login has no rows. tedious 18 to 20 reports them, in the answer to its own first batch, as an 'error' of the
 * connection: that error has no code, and whether it ends the login depends on who listens.
 */
const REFUSES_ROWS = { onColMetadata: refuseRows, onRow: refuseRows, onOrder: refuseRows };

function invalidResponse(cause: unknown): Error {
  return Object.assign(new Error('The server sent something that is not a valid TDS response.'), {
    code: 'EPROTO',
    cause,
  });
}

/** After the login, an error may also come from the application's own listeners; it is left to the application. */
function isThrownByHandler(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error.constructor.name === 'UnexpectedTokenError') return true;
  const [, thrownBy = ''] = (error.stack ?? '').slice(error.message.length).split('\n', 3);
  // By its class, or, if source maps are on (node --enable-source-maps), by its file, because class names are lost
  // then.
  return /TokenHandler\.on[A-Z]|[\\/]token[\\/]handler\.[jt]s:/.test(thrownBy);
}

interface RequestLike {
  error?: unknown;
}

/** tedious puts several errors of one request into an AggregateError without a message. */
function describeErrors(request: RequestLike | undefined): void {
  const error = request?.error;
  if (error instanceof AggregateError && error.message === '') {
    error.message = (error.errors.at(-1) as Error | undefined)?.message ?? 'The request failed with several errors.';
  }
}

/** The same message, which fails once it is longer than a login response can be. */
async function* bounded(message: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let length = 0;
  for await (const chunk of message) {
    length += chunk.length;
    if (length > MAX_LOGIN_RESPONSE_BYTES) throw new Error('The login response is too long.');
    yield chunk;
  }
}

function hangUp(): Error {
  return Object.assign(new Error('The server closed the connection during the login.'), { code: 'ESOCKET' });
}

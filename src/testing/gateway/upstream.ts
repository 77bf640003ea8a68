import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { type LoginResponse, readLoginResponse } from '../tds/login-response.js';
import { isBeforeTds72, type Login7, writeLogin7 } from '../tds/login7.js';
import { ConnectionClosedError, MessageStream } from '../tds/message-stream.js';
import { frameMessage, PacketType, ProtocolError } from '../tds/packet.js';
import { Encryption, readPreLogin, writePreLoginRequest } from '../tds/prelogin.js';
import { connectTlsInTds } from '../tds/tls.js';

/** The SQL Server behind a gateway; keys as in an mssql config. */
export interface UpstreamConfig {
  server: string;
  /** Default 1433. */
  port?: number | undefined;
  /** SQL login for every principal with a valid token that `logins` does not list. Default: such principals are refused. */
  user?: string | undefined;
  password?: string | undefined;
  /** Database for clients that request none. Default: the login's default database. */
  database?: string | undefined;
  /** Time to connect and log in, ms. Default 15,000. */
  connectionTimeout?: number | undefined;
  options?:
    | {
        /** Default true. `false` is for servers without TLS; the password is then sent in clear text. */
        encrypt?: boolean | 'strict' | undefined;
        /** Default false: the certificate must be trusted by Node.js or `ca`. */
        trustServerCertificate?: boolean | undefined;
        cryptoCredentialsDetails?: { ca?: string | Buffer | undefined } | undefined;
      }
    | undefined;
  /**
   * SQL logins of individual principals, by client id, user name (`upn`) or object id of the token, case-insensitive. They
   * apply to tokens only: a client with a SQL login of the same name is passed on with its own name and password.
   */
  logins?: Readonly<Record<string, UpstreamProof>> | undefined;
}

/** A SQL login with its password. */
export interface UpstreamProof {
  user: string;
  password: string;
}

/** A logged-in upstream session. */
export interface UpstreamLogin {
  /** Requests to the server are written here. */
  stream: Duplex;
  response: LoginResponse;
  spid: number;
  packetSize: number;
}

const LOGIN_RESPONSE_LIMIT = 256 * 1024;
const DEFAULT_TIMEOUT_MS = 15_000;
const DEFAULT_PORT = 1433;
/** Packet size before negotiation. */
const INITIAL_PACKET_SIZE = 4096;
/** Limits redirects between servers that route to each other. */
const MAX_REDIRECTS = 3;

/**
 * Logs in upstream for a client. Resolves to the server's answer, whether it accepts or refuses the login. Rejects if
 * there is no answer, if the server does not encrypt, or as soon as `signal` reports that the client has left.
 */
export async function logInUpstream(
  upstream: UpstreamConfig,
  login: Login7,
  proof: UpstreamProof,
  signal: AbortSignal,
): Promise<UpstreamLogin> {
  let [server, port] = [upstream.server, upstream.port ?? DEFAULT_PORT];
  for (let redirects = 0; ; redirects += 1) {
    const session = await logInAt(upstream, server, port, login, proof, signal);
    const { redirect } = session.response;
    if (redirect === undefined || redirects === MAX_REDIRECTS) return session;
    session.stream.destroy();
    ({ server, port } = redirect);
  }
}

async function logInAt(
  upstream: UpstreamConfig,
  server: string,
  port: number,
  login: Login7,
  proof: UpstreamProof,
  signal: AbortSignal,
): Promise<UpstreamLogin> {
  signal.throwIfAborted();
  const socket = connect({ host: server, port, allowHalfOpen: true, noDelay: true });
  const timeoutMs = upstream.connectionTimeout ?? DEFAULT_TIMEOUT_MS;
  const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  const hangUp = (): void => void socket.destroy(signal.reason);
  signal.addEventListener('abort', hangUp);
  try {
    await once(socket, 'connect');
    const messages = await requestEncryption(socket, server, upstream.options ?? {});
    const asked = { ...login, serverName: server, database: login.database || (upstream.database ?? '') };
    const request = writeLogin7(asked, proof.user, proof.password);
    messages.write(frameMessage(PacketType.Login7, request, INITIAL_PACKET_SIZE));
    const { body, spid } = await messages.readOf(PacketType.TabularResult);
    const response = readLoginResponse(body, isBeforeTds72(login.tdsVersion));
    messages.detach();
    return { stream: messages.stream, response, spid, packetSize: response.packetSize ?? INITIAL_PACKET_SIZE };
  } catch (error) {
    socket.destroy();
    throw error instanceof ConnectionClosedError ? new Error('the server closed the connection during login') : error;
  } finally {
    signal.removeEventListener('abort', hangUp);
    clearTimeout(timer);
  }
}

async function requestEncryption(
  socket: Socket,
  server: string,
  {
    encrypt = true,
    trustServerCertificate = false,
    cryptoCredentialsDetails = {},
  }: NonNullable<UpstreamConfig['options']>,
): Promise<MessageStream> {
  const messages = new MessageStream(socket, LOGIN_RESPONSE_LIMIT, () => {});
  const tls: ConnectionOptions = {
    host: server,
    rejectUnauthorized: !trustServerCertificate,
    ...(cryptoCredentialsDetails.ca !== undefined && { ca: cryptoCredentialsDetails.ca }),
    ...(isIP(server) === 0 && { servername: server }),
  };
  if (encrypt === 'strict') {
    const secured = connectTls({ ...tls, socket, ALPNProtocols: ['tds/8.0'] });
    await once(secured, 'secureConnect');
    messages.useSecure(secured);
  } else {
    messages.start();
  }
  const ask = encrypt === true ? Encryption.On : Encryption.NotSupported;
  messages.write(frameMessage(PacketType.PreLogin, writePreLoginRequest(ask), INITIAL_PACKET_SIZE));
  const answer = readPreLogin((await messages.readOf(PacketType.TabularResult)).body);
  if (encrypt === 'strict') return messages;
  const willEncrypt = answer.encryption === Encryption.On || answer.encryption === Encryption.Required;
  if (encrypt && !willEncrypt) throw new ProtocolError('the server does not encrypt; the password was not sent');
  if (willEncrypt) {
    messages.detach();
    const secured = connectTlsInTds(socket, tls);
    await once(secured, 'secureConnect');
    messages.useSecure(secured);
  }
  return messages;
}

import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { ConnectionClosedError, type MessageStream } from '../tds/message-stream.js';
import { frameMessage, PacketType, ProtocolError } from '../tds/packet.js';
import { Encryption, readPreLogin, writePreLoginResponse } from '../tds/prelogin.js';
import { acceptStrictTls, acceptTlsInTds, TLS_HANDSHAKE } from '../tds/tls.js';
import type { EncryptionMode } from './options.js';
import { type ServerContext, VERSION } from './server-context.js';

const LOGIN_WITHOUT_PRELOGIN =
  'the client logs in without PRELOGIN, as TDS 7.0 and earlier do; TDS 7.1 is the oldest version that works';

/** Packet size until the login negotiates another. */
export const INITIAL_PACKET_SIZE = 4096;

/** Everything before LOGIN7: the TLS of TDS 8, or PRELOGIN and the TLS it negotiates. Returns whether it is TDS 8. */
export async function acceptEncryption(
  socket: Socket,
  messages: MessageStream,
  server: ServerContext,
): Promise<{ strict: boolean }> {
  const encrypt = server.options.encrypt ?? 'on';
  const head = await firstBytes(socket);
  const strict = head[0] === TLS_HANDSHAKE;
  if (strict) {
    if (encrypt === 'off' || encrypt === 'not-supported') throw new ProtocolError('TDS 8 is switched off');
    await secure(socket, messages, acceptStrictTls(socket, server.tls));
  } else {
    if (encrypt === 'strict') throw new ProtocolError('only TDS 8 is allowed');
    if (head[0] === PacketType.Login7) throw new ProtocolError(LOGIN_WITHOUT_PRELOGIN);
    if (head[0] !== PacketType.PreLogin) throw new ProtocolError('the client does not speak TDS');
    messages.start();
  }
  await messages.whilePresent(server.running());

  const preLogin = readPreLogin((await messages.readOf(PacketType.PreLogin)).body);
  const encryption = strict ? Encryption.NotSupported : answerTo(preLogin.encryption, encrypt);
  const tlsFollows = encryption === Encryption.On || encryption === Encryption.Required;
  if (tlsFollows) messages.detach();
  const { fedAuthRequired } = preLogin;
  const answer = writePreLoginResponse({ version: VERSION, encryption, fedAuthRequired });
  messages.write(frameMessage(PacketType.TabularResult, answer, INITIAL_PACKET_SIZE));
  if (tlsFollows) await secure(socket, messages, acceptTlsInTds(socket, server.tls));
  return { strict };
}

async function secure(socket: Socket, messages: MessageStream, secured: TLSSocket): Promise<void> {
  socket.on('close', () => secured.destroy());
  secured.on('error', () => {});
  await new Promise<void>((resolve, reject) => {
    let isSecure = false;
    secured.once('error', reject).once('secure', () => {
      isSecure = true;
      resolve();
    });
    // A client that leaves now causes no error, and 'close' fires only after both sides have ended.
    const onLeft = () => {
      if (!isSecure) reject(new ConnectionClosedError('the client left during the TLS handshake'));
    };
    if (socket.readableEnded || socket.destroyed) onLeft();
    for (const event of ['end', 'close']) {
      for (const stream of [socket, secured]) stream.once(event, onLeft);
    }
  });
  messages.useSecure(secured);
}

/** The server's PRELOGIN answer about encryption to a client that sent `asked`. */
function answerTo(asked: number, mode: EncryptionMode): number {
  switch (mode) {
    case 'off':
      return Encryption.Off;
    case 'not-supported':
      return Encryption.NotSupported;
    case 'required':
      return Encryption.Required;
    default:
      if (asked === Encryption.NotSupported) return Encryption.NotSupported;
      return asked === Encryption.On ? Encryption.On : Encryption.Required;
  }
}

/** Waits for data without consuming it. */
async function firstBytes(socket: Socket): Promise<Buffer> {
  for (;;) {
    const head = socket.read() as Buffer | null;
    if (head !== null) {
      socket.unshift(head);
      return head;
    }
    if (socket.readableEnded || socket.destroyed) throw new ConnectionClosedError('the client closed the connection');
    await new Promise<void>((resolve) => {
      const events = ['readable', 'end', 'close'] as const;
      const done = (): void => {
        for (const event of events) socket.off(event, done);
        resolve();
      };
      for (const event of events) socket.on(event, done);
    });
  }
}

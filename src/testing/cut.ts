import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/**
 * Cuts a connection as a lost network does. Only a bare TCP socket can be reset; under TLS the connection just ends,
 * which clients report the same way. A socket that is already ending cannot be reset either: Node would never emit
 * `close`.
 */
export function cut(socket: Socket): void {
  if (socket instanceof TLSSocket || socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

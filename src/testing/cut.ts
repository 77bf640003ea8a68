import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/**
 * Cuts a connection as a lost network does. Only a bare TCP socket can be reset; under TLS the connection ends in mid-air,
 * which clients report the same way. Nor can one be reset whose own end is under way: Node would never say `close` of it.
 */
export function cut(socket: Socket): void {
  if (socket instanceof TLSSocket || socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

import type { Socket } from 'node:net';
import type { Connection } from 'tedious';
import { isReady } from '../connections/session.js';
import { selectOne } from '../pool/connection-check.js';
import { requireTediousOfMssql } from './stock.js';

/**
 * mssql's own check at checkout, which it skips when `pool.validate` is set (node-mssql README, "validateConnection"):
 * `true` runs `SELECT 1`, `'socket'` checks the state of the connection and its socket, `false` checks only whether it is
 * closed.
 */
export function passesStockChecks(connection: Connection, mode: boolean | 'socket'): boolean | Promise<boolean> {
  const { closed, hasError } = connection as { closed?: boolean; hasError?: boolean };
  if (closed || hasError) return false;
  if (mode === 'socket') return isReady(connection) && hasWritableSocket(connection);
  return mode ? selectOne(requireTediousOfMssql(), connection) : true;
}

function hasWritableSocket(connection: Connection): boolean {
  const { socket } = connection as unknown as { socket?: Socket };
  return socket !== undefined && !socket.destroyed && socket.writable;
}

import type { Socket } from 'node:net';
import type { Connection } from 'tedious';
import { replaceMethod } from './replace-method.js';

/** tedious 19 and 20 return a promise; tedious 18 returns nothing, and observes the signal itself. */
type ConnectOnPort = (
  port: number,
  multi: boolean,
  signal: AbortSignal,
  ...rest: unknown[]
) => Promise<Socket> | undefined;

/**
 * Ends the TCP connect of `connection`, and each later one (a redirect, a retry), when `signal` fires. `close()` alone does
 * not: tedious goes on connecting, and leaves the socket open until `connectTimeout` has passed.
 *
 * @returns undoes this, once the connection is logged in
 */
export function abortConnect(connection: Connection, signal: AbortSignal): () => void {
  const { connectOnPort } = connection as unknown as { connectOnPort?: ConnectOnPort };
  // Not a tedious connection: an app's own class, as in tests.
  if (typeof connectOnPort !== 'function') return () => {};
  const abortable: ConnectOnPort = (port, multi, own, ...rest) => {
    const either = AbortSignal.any([own, signal]);
    return connectOnPort.call(connection, port, multi, either, ...rest)?.then((socket) => {
      if (!either.aborted) return socket;
      // It connected in the same moment.
      socket.on('error', () => {});
      socket.destroy();
      throw either.reason;
    });
  };
  replaceMethod(connection, 'connectOnPort', abortable);
  // Not deleted, which could turn the whole connection into a slow object.
  return () => replaceMethod(connection, 'connectOnPort', connectOnPort);
}

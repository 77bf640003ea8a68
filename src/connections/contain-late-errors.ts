import { replaceMethod } from './replace-method.js';

/** The parts of a tedious connection that are used here. */
interface Dispatching {
  state?: { name: string } | undefined;
  dispatchEvent?: DispatchEvent;
}

type DispatchEvent = (this: Dispatching, name: string, ...args: unknown[]) => void;

/**
 * Ignores socket errors of a closed connection. When a server hangs up during a request, tedious 18 to 20 may report it
 * twice: from the socket, which closes the connection, and from reading the answer, which then emits
 * "No event 'socketError' in state 'Final'". node-mssql passes that on as an 'error' of its pool, and if the
 * application does not listen to it, the process ends.
 *
 * The method is replaced on this one connection. A tedious without it is left alone.
 */
export function containLateErrors(connection: Dispatching): void {
  if (typeof connection.dispatchEvent !== 'function') return;
  replaceMethod(connection, 'dispatchEvent', dispatchUnlessClosed);
}

const dispatchUnlessClosed: DispatchEvent = function (name, ...args) {
  if (name === 'socketError' && this.state?.name === 'Final') return;
  const { dispatchEvent: dispatch } = Object.getPrototypeOf(this) as { dispatchEvent: DispatchEvent };
  dispatch.call(this, name, ...args);
};

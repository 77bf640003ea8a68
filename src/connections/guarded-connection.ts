import type { ConnectionConfiguration } from 'tedious';
import { guardedEmits, heedMessage } from './login-guard.js';

type ConnectionClass = typeof import('tedious').Connection;
type Emit = (this: object, event: string | symbol, ...args: unknown[]) => boolean;

const guarded = new WeakMap<ConnectionClass, ConnectionClass>();

/**
 * A connection of the given tedious that passes the server's messages to its guard before it emits them. Listeners would do
 * the same, as they do for connections that another library has created, but their names would take 100 bytes of
 * every connection.
 */
export function newGuardedConnection(
  { Connection }: { Connection: ConnectionClass },
  configuration: ConnectionConfiguration,
): InstanceType<ConnectionClass> {
  return new (classFor(Connection))(configuration);
}

function classFor(Connection: ConnectionClass): ConnectionClass {
  let known = guarded.get(Connection);
  if (known === undefined) {
    known = derive(Connection);
    guarded.set(Connection, known);
  }
  return known;
}

function derive(Base: ConnectionClass): ConnectionClass {
  // A bound function, for instance, can be called with `new` but not extended.
  if (typeof (Base.prototype as unknown) !== 'object') return Base;
  const Derived = class Connection extends Base {};
  const { emit } = Base.prototype as { emit: Emit };
  const emitGuarded: Emit = function (event, ...args) {
    heedMessage(this, event, args[0]);
    return emit.call(this, event, ...args);
  };
  Object.defineProperty(Derived.prototype, 'emit', { value: emitGuarded, writable: true, configurable: true });
  guardedEmits.add(emitGuarded);
  return Derived;
}

import type { Connection } from 'tedious';
import type { TarnFacade } from '../pool/tarn-facade.js';
import { boundTo } from './bound-to.js';

/**
 * The same pool for a library that may return a connection twice, as knex does after each stream. In between, another
 * caller may have checked the connection out and would lose it. Each checkout therefore yields a new object, of which only the
 * first return counts.
 */
export function singleReturn(pool: TarnFacade): TarnFacade {
  const borrowed = new WeakMap<Connection, Connection>();
  return Object.create(pool, {
    acquire: {
      value() {
        const { promise, abort } = pool.acquire();
        const wrap = (connection: Connection): Connection => {
          const wrapper = boundTo(connection);
          borrowed.set(wrapper, connection);
          return wrapper;
        };
        return { promise: promise.then(wrap), abort };
      },
    },
    release: {
      value(wrapper: Connection) {
        const connection = borrowed.get(wrapper);
        if (connection === undefined) return false;
        borrowed.delete(wrapper);
        return pool.release(connection);
      },
    },
  }) as TarnFacade;
}

import type { Connection } from 'tedious';
import type { TarnFacade } from '../pool/tarn-facade.js';
import { boundTo } from './bound-to.js';

/**
 * The same pool for a borrower that may return a connection twice: knex does after each stream, and between the two returns
 * the connection may have been lent to somebody else, who would lose it. Each loan is an object of its own here, and only
 * its first return counts.
 */
export function singleReturn(pool: TarnFacade): TarnFacade {
  const loans = new WeakMap<Connection, Connection>();
  return Object.create(pool, {
    acquire: {
      value() {
        const { promise, abort } = pool.acquire();
        const lend = (connection: Connection): Connection => {
          const loan = boundTo(connection);
          loans.set(loan, connection);
          return loan;
        };
        return { promise: promise.then(lend), abort };
      },
    },
    release: {
      value(loan: Connection) {
        const connection = loans.get(loan);
        if (connection === undefined) return false;
        loans.delete(loan);
        return pool.release(connection);
      },
    },
  }) as TarnFacade;
}

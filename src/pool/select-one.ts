import type { Connection } from 'tedious';
import type { TediousModule } from '../connections/dial.js';

/** Asks the server whether the session works, as mssql does with `validateConnection: true`. Never rejects. */
export function selectOne({ Request }: TediousModule, connection: Connection): Promise<boolean> {
  return new Promise((resolve) => {
    connection.execSqlBatch(new Request('SELECT 1', (error) => resolve(!error)));
  });
}

import { createRequire } from 'node:module';
import { Request } from 'tedious';
import { expect, test } from 'vitest';
import { ProcessWatch } from '../hostile/process-watch.js';
import { site } from '../support/pool.js';

const TEDIOUS = Number.parseInt(createRequire(import.meta.url)('tedious/package.json').version, 10);
const thrown = new Error('thrown by the application');

// tedious 18 and 19 pass an exception in a listener to the process, tedious 20 passes it to the request. It must not become an
// error of the server.
test.each(['row', 'columnMetadata', 'doneProc', 'doneInProc'])(
  "what the application's own listener for '%s' throws is passed on as it is",
  async (event) => {
    await using s = await site();
    const pool = s.pool();
    const connection = await pool.acquire();
    using watch = new ProcessWatch();
    const crashes: string[] = [];
    let failure: unknown;
    watch.run(crashes, () => {
      const request = new Request('SELECT 1 AS one', (error) => {
        failure = error;
      });
      request.on(event as 'row', () => {
        throw thrown;
      });
      connection.execSql(request);
    });
    const seen = () => (TEDIOUS >= 20 ? [String(failure)] : [...crashes, ...watch.strays]).join();
    await expect.poll(seen, { timeout: 10_000 }).toContain(thrown.message);
    expect(String(failure)).not.toContain('valid TDS response');
    pool.destroy(connection);
  },
);

import type { OpenPool } from './pool-under-test.js';
import { firstLine, NotConformant, Site, withConnection } from './site.js';

/**
 * Opens a pool once and runs `SELECT 1`, with a fresh token and a working server. An adapter that cannot do this would
 * appear to fail every requirement, although none was checked.
 *
 * @throws TypeError if the adapter is not a function, or its pool lacks a method; Error with the adapter's own error as
 *   its cause
 */
export async function requireWorkingAdapter(
  open: OpenPool,
  within: (work: Promise<void>) => Promise<void>,
): Promise<void> {
  if (typeof open !== 'function') {
    throw new TypeError(
      `conformance: the first argument is ${open === null ? 'null' : `of type ${typeof open}`}; it must be a function that opens a pool.`,
    );
  }
  const site = await Site.start(open, {}, {});
  try {
    await within(rehearse(site));
  } catch (error) {
    if (error instanceof TypeError && error.message.startsWith('conformance: ')) throw error;
    const seen = error instanceof Error ? firstLine(error) : 'a value that is not an Error was thrown';
    throw new Error(
      `conformance: the adapter cannot run SELECT 1 (${seen}), so no requirement was checked. Test it against your own server first.`,
      { cause: error },
    );
  } finally {
    await site.stop();
  }
}

async function rehearse(site: Site): Promise<void> {
  const pool = await site.pool();
  const value = await withConnection(pool, (connection) => pool.query(connection, 'SELECT 1 AS one'));
  if (Number(value) !== 1) {
    throw new NotConformant('query() must resolve with the first column of the first row, but did not resolve with 1');
  }
}

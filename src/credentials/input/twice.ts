import { sleep } from '../../time.js';

/** Longer than it takes to write a token or a certificate, ms. */
const READ_AGAIN_AFTER_MS = 100;

/**
 * If a file is missing, empty or incomplete, another process may be writing it: it is read once more after a moment, and
 * again by the next request.
 */
export async function twice<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch {
    await sleep(READ_AGAIN_AFTER_MS);
    return read();
  }
}

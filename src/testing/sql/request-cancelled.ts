import type { Output } from './interpreter.js';

/** The client has cancelled the request, or is gone. */
export class RequestCancelledError extends Error {
  override name = 'RequestCancelledError';

  constructor() {
    super('The client has cancelled the request.');
  }
}

/** The rows of an async iterable. A cancel does not wait for the next one. */
export async function* rowsUnlessCancelled<T>(rows: AsyncIterable<T>, output: Output): AsyncGenerator<T> {
  const iterator = rows[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await output.unlessCancelled(iterator.next());
      if (done === true) {
        ended = true;
        return;
      }
      yield value;
    }
  } catch (error) {
    ended = !(error instanceof RequestCancelledError);
    throw error;
  } finally {
    if (!ended) void closeIterator(iterator);
  }
}

/** Lets the iterator clean up. Its generator runs this only after the row that it is waiting for. */
async function closeIterator(iterator: AsyncIterator<unknown>): Promise<void> {
  try {
    await iterator.return?.();
  } catch {
    // No request is left that could report it.
  }
}

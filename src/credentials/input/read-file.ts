import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/**
 * Opening a named pipe waits for its writer, in one of the four threads that files and host names of the whole process
 * share. Without a writer, this flag opens an empty one; Windows has neither.
 */
const WITHOUT_WAITING = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/**
 * Reads a small file. Of a larger file or an endless device, at most `largest` + 1 bytes are read, so that the caller
 * can refuse it by its size.
 */
export async function readStart(path: string, largest: number): Promise<Buffer> {
  const file = await open(path, WITHOUT_WAITING);
  try {
    const buffer = Buffer.alloc(largest + 1);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return buffer.subarray(0, length);
  } finally {
    await file.close();
  }
}

import { open } from 'node:fs/promises';

/**
 * Reads a small file. At most `largest` + 1 bytes are read of a larger file or an endless device, so that the caller
 * can refuse it by its size.
 */
export async function readStart(path: string, largest: number): Promise<Buffer> {
  const file = await open(path);
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

import { open } from 'node:fs/promises';

/**
 * A small file as bytes. One that is larger, or a device that never ends, is read no further than `largest` + 1 bytes, so
 * that the caller can refuse it by its size.
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

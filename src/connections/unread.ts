import type { Connection } from 'tedious';

/** The parts of a tedious connection that are read here; present in tedious 18 to 20. */
interface Receiving {
  messageIo?: {
    incomingMessageStream?: { readonly readableLength?: number; readonly bl?: { readonly length: number } };
  };
}

/**
 * True for a connection that has received data that none of its requests has read. tedious keeps it, and takes it for the answer to
 * the next request (in MS-TDS, an answer does not name its request). Without a request in progress, there is no reason for
 * the server to send anything: it is a duplicate, a proxy that mixes up connections, or garbage.
 *
 * Whole messages wait in the stream, the beginning of a packet in its buffer.
 */
export function hasUnread(connection: Connection): boolean {
  const stream = (connection as unknown as Receiving).messageIo?.incomingMessageStream;
  return stream !== undefined && ((stream.readableLength ?? 0) > 0 || (stream.bl?.length ?? 0) > 0);
}

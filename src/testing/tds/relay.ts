import type { Duplex } from 'node:stream';
import { type Packet, PacketSplitter, PacketStatus, ProtocolError } from './packet.js';

/** Decides over a request before it goes upstream. */
export interface Gate {
  /** Resolves when requests may pass; undefined if they may now. */
  open(): Promise<void> | undefined;
  /**
   * An answer to give instead of sending the request upstream (whole packets, and whether the session is over with it),
   * or undefined to let it pass.
   */
  refuse(type: number, status: number): { answer: Buffer; ends: boolean } | undefined;
}

/**
 * Passes packets between a client and a server, untouched, until both have ended. Each side is read only as fast as the
 * other takes it; a side that ends is ended on the other, which may still answer. Rejects with a
 * {@link ProtocolError} where the client sends what is no TDS; it can still be told so.
 */
export async function relay(client: Duplex, upstream: Duplex, gate: Gate): Promise<void> {
  const bothClosed = Promise.all([closed(client), closed(upstream)]);
  client.on('close', () => upstream.destroy());
  upstream.on('close', () => endSoon(client));
  upstream.on('error', () => {});
  client.on('error', () => {});
  upstream.pipe(client);
  try {
    await passRequests(client, upstream, gate);
  } catch (error) {
    upstream.unpipe(client);
    upstream.destroy();
    // Anything else is a connection that broke, which ends both.
    if (error instanceof ProtocolError) throw error;
    client.destroy();
  }
  await bothClosed;
}

async function passRequests(client: Duplex, upstream: Duplex, gate: Gate): Promise<void> {
  const packets: Packet[] = [];
  const splitter = new PacketSplitter((packet) => packets.push(packet));
  let starts = true;
  let refused = false;
  for await (const chunk of client.iterator({ destroyOnReturn: false })) {
    splitter.push(chunk as Buffer);
    upstream.cork();
    for (const packet of packets.splice(0)) {
      if (starts) {
        const opening = gate.open();
        if (opening !== undefined) {
          upstream.uncork();
          await opening;
          upstream.cork();
        }
        const refusal = gate.refuse(packet.type, packet.status);
        refused = refusal !== undefined;
        if (refusal !== undefined) {
          client.write(refusal.answer);
          if (refusal.ends) {
            upstream.uncork();
            upstream.unpipe(client);
            endSoon(client);
            return;
          }
        }
      }
      starts = (packet.status & PacketStatus.EndOfMessage) !== 0;
      if (!refused) upstream.write(packet.bytes);
    }
    upstream.uncork();
    if (upstream.writableNeedDrain) await drained(upstream);
  }
  upstream.end();
}

/** How long a client may take to read the last words and close, ms. */
const LINGER_MS = 1000;

function endSoon(stream: Duplex): void {
  if (stream.destroyed) return;
  stream.end();
  const timer = setTimeout(() => stream.destroy(), LINGER_MS);
  stream.once('close', () => clearTimeout(timer));
}

function closed(stream: Duplex): Promise<void> {
  return stream.closed ? Promise.resolve() : new Promise((resolve) => stream.once('close', () => resolve()));
}

function drained(stream: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done);
      stream.off('close', done);
      resolve();
    };
    stream.on('drain', done);
    stream.on('close', done);
  });
}

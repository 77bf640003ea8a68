import { type Duplex, Writable } from 'node:stream';
import { type Packet, PacketSplitter, PacketStatus, ProtocolError } from '../tds/packet.js';

/** Inspects requests before they go upstream. */
export interface Gate {
  /** Resolves when requests may pass; undefined if they may pass now. */
  open(): Promise<void> | undefined;
  /**
   * An answer to send instead of passing the request upstream (whole packets, and whether it ends the session), or
   * undefined to pass it on.
   */
  refuse(type: number, status: number): { answer: Buffer; ends: boolean } | undefined;
}

/** Observes the forwarded bytes. */
export interface Tap {
  request(chunk: Buffer): void;
  answer(chunk: Buffer): void;
}

/**
 * Forwards packets unchanged between a client and a server until both have ended. Each side is read only as fast as the
 * other can write. When one side ends, the other is half-closed and may still answer. Rejects with a
 * {@link ProtocolError} if the client sends something other than TDS; the client can still be sent an error.
 */
export async function relay(client: Duplex, upstream: Duplex, gate: Gate, tap?: Tap): Promise<void> {
  const bothClosed = Promise.all([closed(client), closed(upstream)]);
  client.on('close', () => upstream.destroy());
  upstream.on('close', () => endSoon(client));
  upstream.on('error', () => {});
  client.on('error', () => {});
  if (tap !== undefined) upstream.on('data', (chunk: Buffer) => tap.answer(chunk));
  upstream.pipe(client);
  const requests = client.pipe(requestsTo(upstream, client, gate, tap));
  try {
    await Promise.race([bothClosed, failureOf(requests)]);
  } catch (error) {
    upstream.unpipe(client);
    upstream.destroy();
    // Anything else is a broken connection, which ends both sides.
    if (error instanceof ProtocolError) throw error;
    client.destroy();
  }
  await bothClosed;
}

/** The client-to-server direction. A request that may pass is forwarded without a turn of the event loop. */
function requestsTo(upstream: Duplex, client: Duplex, gate: Gate, tap: Tap | undefined): Writable {
  const packets: Packet[] = [];
  const splitter = new PacketSplitter((packet) => packets.push(packet));
  let starts = true;
  let refused = false;

  /** Forwards the available packets, then calls back. Never calls back once the session is over, so reading stops. */
  const pass = (done: (error?: Error) => void): void => {
    upstream.cork();
    for (let packet = packets[0]; packet !== undefined; packet = packets[0]) {
      const opening = starts ? gate.open() : undefined;
      if (opening !== undefined) {
        upstream.uncork();
        const abandon = (): void => void client.destroy();
        // The client has given up: nothing has been sent upstream yet.
        client.once('end', abandon);
        opening
          .then(() => {
            client.off('end', abandon);
            pass(done);
          })
          .catch(done);
        return;
      }
      const refusal = starts ? gate.refuse(packet.type, packet.status) : undefined;
      if (starts) refused = refusal !== undefined;
      if (refusal !== undefined) client.write(refusal.answer);
      if (refusal?.ends) {
        upstream.uncork();
        upstream.unpipe(client);
        endSoon(client);
        return;
      }
      if (!refused) {
        tap?.request(packet.bytes);
        upstream.write(packet.bytes);
      }
      starts = (packet.status & PacketStatus.EndOfMessage) !== 0;
      packets.shift();
    }
    upstream.uncork();
    if (upstream.writableNeedDrain) drained(upstream).then(() => done());
    else done();
  };

  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      try {
        splitter.push(chunk);
        pass(done);
      } catch (error) {
        done(error as Error);
      }
    },
    final(done) {
      upstream.end();
      done();
    },
  });
}

function failureOf(stream: Writable): Promise<never> {
  return new Promise((_, reject) => stream.once('error', reject));
}

/** How long a client may take to read the final answer and close, ms. */
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

import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { startSqlEmulator } from '../../../src/testing/index.js';
import { closing } from '../sql-clients.js';

const MARS = 4;
const END = 0xff;
/** PRELOGIN (MS-TDS 2.2.6.5) of a client that requests MARS: version, no encryption, MARS. */
const ASKS_FOR_MARS = Buffer.from('1201002000000100000010000601001600010400170001ff0000000000000201', 'hex');

/** The value of an option in the answer to a PRELOGIN. */
function optionOf(packet: Buffer, wanted: number): number | undefined {
  const body = packet.subarray(8);
  for (let at = 0; body[at] !== END; at += 5) if (body[at] === wanted) return body[body.readUInt16BE(at + 1)];
  return undefined;
}

test('the emulator and the gateway decline MARS, as a server without MARS does', async () => {
  const server = closing(await startSqlEmulator());
  const upstream = { server: 'localhost', port: server.port, user: 'sa', password: 'never sent' };
  const gateway = closing(await startSqlEmulator({ upstream }));
  for (const { port } of [server, gateway]) {
    const socket = connect(port, '127.0.0.1');
    socket.write(ASKS_FOR_MARS);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(optionOf(answer, MARS)).toBe(0);
    socket.destroy();
  }
});

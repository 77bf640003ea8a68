import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterAll, beforeAll } from 'vitest';

/** Set-up of `*.test.ts`: a test that opens a socket has another tier, `*.sockets.test.ts`. */
let opened = 0;
const count = (): void => {
  opened += 1;
};

beforeAll(() => {
  for (const name of ['net.client.socket', 'net.server.socket']) subscribe(name, count);
});

afterAll(() => {
  for (const name of ['net.client.socket', 'net.server.socket']) unsubscribe(name, count);
  if (opened > 0) throw new Error(`This file opens ${opened} sockets: name it *.sockets.test.ts`);
});

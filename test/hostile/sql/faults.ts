import type { Random } from '../../support/random.js';
import { damaged, randomBytes } from '../damage.js';
import type { Fault, HostileServer, Visit } from './server.js';
import * as tds from './tokens.js';

/** What a fault may need from outside the conversation. */
export interface FaultWorld {
  /** A server that says at PRELOGIN that it does not encrypt, and would take a token all the same. */
  plain: HostileServer;
  /** A port at which no server listens. */
  closedPort: number;
  random: Random;
}

const OVERSIZED_BYTES = 4 * 1024 * 1024;

/** The columns of the table. */
export const FAULTS: Readonly<Record<string, (world: FaultWorld) => Fault>> = {
  RST: () => (visit) => void visit.socket.resetAndDestroy(),
  FIN: () => (visit) => void visit.socket.end(),
  silence: () => () => {},
  'half an answer': () => (visit, honest) => visit.write(honest.subarray(0, honest.length >> 1)),
  'half an answer, then FIN': () => (visit, honest) => {
    visit.write(honest.subarray(0, honest.length >> 1));
    visit.socket.end();
  },
  'garbage bytes':
    ({ random }) =>
    (visit) =>
      visit.write(randomBytes(random, 300)),
  'garbage in a packet':
    ({ random }) =>
    (visit) =>
      visit.send(randomBytes(random, 300)),
  'a garbage token':
    ({ random }) =>
    (visit) =>
      visit.send(Buffer.concat([random.pick(GARBAGE_TOKENS), randomBytes(random, 40)])),
  'an answer with wrong bytes':
    ({ random }) =>
    (visit, honest) =>
      visit.write(damaged(random, honest, 8)),
  'a token without end': () => (visit) => stream(visit, INFO),
  'a packet of 0 bytes': () => (visit) => visit.write(Buffer.from([4, 1, 0, 0, 0, 0, 1, 0])),
  'a token that claims 4 GB': () => (visit) => {
    // FEDAUTHINFO: the one token of a login whose length has four bytes.
    visit.send(Buffer.concat([Buffer.from([0xee, 0xff, 0xff, 0xff, 0xff]), Buffer.alloc(64)]), { end: false });
  },
  'a redirect to itself': () => (visit) => redirect(visit, visit.server.port),
  'a redirect to a server that does not encrypt':
    ({ plain }) =>
    (visit) =>
      redirect(visit, plain.port),
  'a redirect to nowhere':
    ({ closedPort }) =>
    (visit) =>
      redirect(visit, closedPort),
  'a downgrade': () => (visit, honest) => {
    // At PRELOGIN, the server announces it; at later points, it continues in cleartext in the hope that the client
    // follows.
    const isPreLogin = visit.login === undefined && visit.received[0] === 0;
    const body = tds.preLogin({ encryption: 2, fedAuthRequired: true });
    visit.socket.write(isPreLogin ? tds.packets(tds.Type.Result, body) : honest);
  },
  'a downgrade to an encrypted login only': () => (visit) => {
    const isPreLogin = visit.login === undefined && visit.received[0] === 0;
    const body = tds.preLogin({ encryption: 0, fedAuthRequired: true });
    visit.socket.write(isPreLogin ? tds.packets(tds.Type.Result, body) : tds.packets(tds.Type.Result, tds.loginAck()));
  },
  'an echo': () => (visit) => visit.send(visit.received),
  'an echo in an error': () => (visit) => echo(visit, 18456),
  'an echo in a transient error': () => (visit) => echo(visit, 40613),
  'an echo in disguise':
    ({ random }) =>
    (visit) =>
      echoInDisguise(visit, random),
  'an echo as the name of a server': () => (visit) => {
    const name = heardBy(visit)[0]?.slice(0, 250) ?? '';
    visit.send(redirectTo(visit, name, 1433));
  },
};

/** Tokens that announce more than there is, in the ways in which a parser may stumble ([MS-TDS] 2.2.7). */
const GARBAGE_TOKENS: readonly Buffer[] = [
  // A token that does not exist.
  [0x00],
  [0x42, 0xff],
  // COLMETADATA with 65,534 columns; with a type that does not exist.
  [0x81, 0xfe, 0xff],
  [0x81, 0x01, 0x00, 0, 0, 0, 0, 0, 0, 0x01],
  // ROW without COLMETADATA.
  [0xd1, 0x04, 1, 0, 0, 0],
  [0xd2, 0xff, 0xff],
  // ENVCHANGE of an unknown kind, of length 0, with a packet size of 0, with a routing that is too short.
  [0xe3, 0x01, 0x00, 0xff],
  [0xe3, 0x00, 0x00],
  [0xe3, 0x06, 0x00, 4, 1, 0x30, 0, 0, 0],
  [0xe3, 0x04, 0x00, 20, 0xff, 0xff, 0],
  // LOGINACK with an unknown interface, with a TDS version that does not exist, of length 0.
  [0xad, 0x0a, 0x00, 9, 9, 9, 9, 9, 0, 1, 1, 1, 1],
  [0xad, 0x00, 0x00],
  // FEDAUTHINFO whose texts lie outside it, with 4 billion of them.
  [0xee, 16, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0],
  [0xee, 4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
  // FEATUREEXTACK that does not end, with an unknown feature of 4 GB.
  [0xae, 0x77, 0xff, 0xff, 0xff, 0xff],
  // ERROR of length 0, and with a text longer than itself.
  [0xaa, 0x00, 0x00],
  [0xaa, 0x0a, 0x00, 0, 0, 0, 0, 1, 20, 0xff, 0xff, 0, 0],
  // SSPI, ORDER, OFFSET, RETURNVALUE, where they make no sense.
  [0xed, 0xff, 0xff],
  [0xa9, 0x01, 0x00],
  [0xac, 0, 0, 0xff, 0xff],
].map((bytes) => Buffer.from(bytes));

const INFO = tds.message('info', { number: 5701, text: 'x'.repeat(15_000) });

/** INFO tokens in packets of one message that never ends. */
function stream(visit: Visit, token: Buffer): void {
  let sent = 0;
  const next = (): void => {
    if (visit.socket.destroyed || sent >= OVERSIZED_BYTES) return;
    for (let burst = 0; burst < 4; burst += 1) {
      visit.send(token, { end: false });
      sent += token.length;
    }
    setTimeout(next, 1).unref();
  };
  next();
}

function redirect(visit: Visit, port: number): void {
  visit.send(redirectTo(visit, 'localhost', port));
}

function redirectTo(visit: Visit, server: string, port: number): Buffer {
  return Buffer.concat([
    tds.loginAck(),
    tds.routing(server, port),
    ...(visit.login?.fedAuth === false ? [] : [tds.fedAuthAck()]),
    tds.done(0xfd),
  ]);
}

function heardBy(visit: Visit): string[] {
  return visit.heard.length > 0 ? visit.heard : [visit.received.toString('latin1').slice(0, 500)];
}

const hexOf = (character: string): string => character.charCodeAt(0).toString(16).padStart(2, '0');

/** Disguises in which a server may repeat a secret, so that replacing the verbatim secret does not find it. */
const DISGUISES: readonly ((secret: string) => string)[] = [
  (secret) => secret.slice(1),
  (secret) => secret.slice(secret.length >> 1),
  (secret) => secret.replaceAll(/.{20}/g, '$&\r\n'),
  (secret) => [...secret].join(' '),
  (secret) => [...secret].join('\0'),
  (secret) => [...secret].map((character) => `%${hexOf(character)}`).join(''),
  (secret) => [...secret].map((character) => `\\u00${hexOf(character)}`).join(''),
  (secret) => [...secret].map((character) => `&#${character.charCodeAt(0)};`).join(''),
  (secret) => Buffer.from(`Bearer ${secret}`).toString('base64'),
  (secret) => Buffer.from(secret, 'utf16le').toString('base64'),
  (secret) => Buffer.from(secret, 'utf16le').toString('hex'),
];

function echoInDisguise(visit: Visit, random: Random): void {
  const texts = heardBy(visit).map((text) => random.pick(DISGUISES)(text).slice(0, 8_000));
  const tokens = texts.flatMap((text) => [
    tds.message('info', { number: 5701, text }),
    tds.message('error', { number: 18456, text, server: text.slice(0, 200), procedure: text.slice(-200) }),
  ]);
  visit.send(Buffer.concat([...tokens, tds.done(0xfd, 2)]));
}

/** What the client sent, in the disguises in which a server might repeat it. */
function echo(visit: Visit, number: number): void {
  const texts = heardBy(visit).flatMap((text) => [
    text,
    encodeURIComponent(text),
    Buffer.from(text).toString('base64'),
    JSON.stringify({ access_token: text }),
  ]);
  const tokens = texts
    .map((text) => text.slice(0, 8_000))
    .flatMap((text) => [
      tds.message('info', { number: 5701, text: `Hello ${text}` }),
      tds.message('error', { number, state: 1, text: `Login failed for '${text}'.` }),
    ]);
  visit.send(Buffer.concat([...tokens, tds.done(0xfd, 2)]));
}

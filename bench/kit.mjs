// The cost of starting the test kit and of logging in to it. Build first: npm run build && node bench/kit.mjs [--logins 600] [--write]
// --write puts the figures into docs/testing.md.
//
// Start: import of mssql-token-pool/testing, then the first and the second emulator of each kind, each in a fresh process
// (median of 7). Logins: full tedious logins from two processes, 8 at a time each, to an emulator in a process of its own, with
// and without TLS, and the CPU time of each side per login. Below them what Node.js itself needs to accept a connection: over
// TCP, with TLS on the socket, and with TLS on a stream, which TDS 7 requires because it wraps the handshake in packets.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectTcp, createServer } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Connection } from 'tedious';
import { publishFigures } from './figures-in-docs.mjs';

const KIT = '../dist/testing/index.mjs';
const AT_ONCE = 8;
const CLIENTS = 2;
const PROGRAM = fileURLToPath(import.meta.url);

if (process.argv[2] === '--start') await measureStart();
else if (process.argv[2] === '--serve') await serve(process.argv[3]);
else if (process.argv[2] === '--log-in') await logInOnDemand();
else await measure();

function cpuMs() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function measureStart() {
  const times = {};
  const timed = async (name, work) => {
    const started = performance.now();
    const result = await work();
    times[name] = performance.now() - started;
    return result;
  };
  const kit = await timed('import', () => import(KIT));
  await timed('first startEntraEmulator()', () => kit.startEntraEmulator());
  await timed('first startSqlEmulator()', () => kit.startSqlEmulator());
  await timed('second startEntraEmulator()', () => kit.startEntraEmulator());
  await timed('second startSqlEmulator()', () => kit.startSqlEmulator());
  process.send(times, () => process.exit());
}

/** In a process of its own: an emulator with or without TLS, or a bare server. Reports its CPU time when asked. */
async function serve(kind) {
  process.on('disconnect', () => process.exit());
  process.on('message', () => process.send(cpuMs()));
  const kit = await import(KIT);
  if (kind === 'emulator, TLS' || kind === 'emulator, plain') {
    const server = await kit.startSqlEmulator(kind === 'emulator, plain' ? { encrypt: 'not-supported' } : {});
    return process.send({ port: server.port, ...server.sqlLogin });
  }
  const secureContext = createSecureContext({
    ...kit.makeCertificate({ commonName: 'localhost' }),
    maxVersion: 'TLSv1.2',
  });
  const server = createServer((socket) => {
    const secured = (stream) => new TLSSocket(stream, { isServer: true, secureContext });
    const accepted = {
      'bare TCP': () => socket,
      'bare TLS': () => secured(socket),
      'bare TLS on a stream': () => secured(wrapped(socket)),
    };
    const client = accepted[kind]();
    for (const each of [socket, client]) each.on('error', () => socket.destroy());
    client.on('data', (chunk) => client.write(chunk));
    client.on('end', () => client.end());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  process.send({ port: server.address().port });
}

/** A stream that passes everything on to a socket. */
function wrapped(socket) {
  const stream = new Duplex({
    read: () => socket.resume(),
    write: (chunk, _, done) => socket.write(chunk, done),
    final: (done) => socket.end(done),
  });
  socket.on('data', (chunk) => stream.push(chunk));
  socket.on('end', () => stream.push(null));
  return stream;
}

/** In a process of its own: opens as many connections as the message says. */
async function logInOnDemand() {
  process.on('disconnect', () => process.exit());
  process.on('message', async ({ kind, target, connections }) => {
    const before = cpuMs();
    let left = connections;
    const open = kind.startsWith('emulator') ? logIn : openBare;
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        while (left-- > 0) await open(kind, target);
      }),
    );
    process.send(cpuMs() - before);
  });
  process.send('ready');
}

async function logIn(kind, { port, user, password }) {
  const connection = new Connection({
    server: 'localhost',
    authentication: { type: 'default', options: { userName: user, password } },
    options: { port, encrypt: kind === 'emulator, TLS', trustServerCertificate: true },
  });
  await new Promise((resolve, reject) => connection.connect((error) => (error ? reject(error) : resolve())));
  connection.close();
}

async function openBare(kind, { port }) {
  const target = { port, host: '127.0.0.1', rejectUnauthorized: false };
  const socket = kind === 'bare TCP' ? connectTcp(target) : connectTls(target);
  await once(socket, kind === 'bare TCP' ? 'connect' : 'secureConnect');
  socket.write('x');
  await once(socket, 'data');
  socket.end();
  await once(socket, 'close');
}

async function measure() {
  const { values } = parseArgs({ options: { logins: { type: 'string', default: '600' }, write: { type: 'boolean' } } });
  const starts = [];
  for (let i = 0; i < 7; i += 1) starts.push((await once(fork(PROGRAM, ['--start']), 'message'))[0]);
  const median = (name) => starts.map((times) => times[name]).sort((a, b) => a - b)[3];
  const startRows = Object.keys(starts[0]).map((name) => ({ step: name, ms: Math.round(median(name)) }));
  publishFigures('testing.md', 'start', startRows, values);

  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      const client = fork(PROGRAM, ['--log-in']);
      await once(client, 'message');
      return client;
    }),
  );
  const rows = [];
  for (const kind of ['emulator, TLS', 'emulator, plain', 'bare TCP', 'bare TLS', 'bare TLS on a stream']) {
    const figures = await measureConnections(kind, clients, Math.ceil(Number(values.logins) / CLIENTS));
    rows.push({ connections: kind, ...figures });
  }
  publishFigures('testing.md', 'logins', rows, values);
  for (const client of clients) client.disconnect();
}

async function measureConnections(kind, clients, each) {
  const server = fork(PROGRAM, ['--serve', kind]);
  const [target] = await once(server, 'message');
  const cpuOfServer = async () => {
    server.send('cpu');
    return (await once(server, 'message'))[0];
  };
  const open = (connections) =>
    Promise.all(
      clients.map(async (client) => {
        client.send({ kind, target, connections });
        return (await once(client, 'message'))[0];
      }),
    );
  await open(AT_ONCE * 4);
  const [before, started] = [await cpuOfServer(), performance.now()];
  const cpuOfClients = await open(each);
  const seconds = (performance.now() - started) / 1000;
  const total = each * clients.length;
  const perLogin = (ms) => Number((ms / total).toFixed(2));
  const row = {
    'per second': Math.round(total / seconds),
    'server, ms of CPU': perLogin((await cpuOfServer()) - before),
    'client, ms of CPU': perLogin(cpuOfClients.reduce((sum, ms) => sum + ms)),
  };
  server.disconnect();
  return row;
}

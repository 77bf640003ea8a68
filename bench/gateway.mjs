// The cost of the gateway: `SELECT 1` round trips and a stream of 100,000 rows, directly to a server and through the gateway
// to the same server, alternating, as ratios of the medians. A bare TCP relay, without TDS or TLS, is measured as well; it shows
// the cost of any process in between on this machine. Build first: npm run build && node bench/gateway.mjs
//
//   node bench/gateway.mjs [--rounds 7] [--write] [--server HOST --port P --user U --password W --sql 'SELECT ... 100,000 rows']
//
// Without --server, the server is the SQL emulator, and --write puts the figures into docs/testing-gateway.md. Server, relay and gateway each run in a separate process.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectTcp, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Connection, Request } from 'tedious';
import { startEntraEmulator, startSqlEmulator, verifyAccessToken } from '../dist/testing/index.js';
import { publishFigures } from './figures-in-docs.mjs';

const ROUND_TRIPS = 2000;
const ROWS = "SELECT value, N'some text of row' AS text, CAST(value AS bigint) AS big FROM GENERATE_SERIES(1, 100000)";

if (process.argv[2] === '--child') await serve();
else await measure();

/** In a child process: starts the server named by the parent's message. */
async function serve() {
  process.on('disconnect', () => process.exit());
  const [options] = await once(process, 'message');
  if (options.relayTo) return serveRelay(options.relayTo);
  const { trust, ...rest } = options;
  const verify = (token, how) => verifyAccessToken(token, { ...trust, ...how });
  const server = await startSqlEmulator({ ...rest, ...(trust && { entra: { verify } }) });
  process.send({ port: server.port, ca: server.ca, login: server.sqlLogin });
}

async function serveRelay({ server, port }) {
  const relay = createServer({ noDelay: true }, (client) => {
    const upstream = connectTcp({ host: server, port, noDelay: true });
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) socket.on('error', () => socket.destroy());
  });
  await once(relay.listen(0, 'localhost'), 'listening');
  process.send({ port: relay.address().port });
}

async function start(options) {
  const child = fork(fileURLToPath(import.meta.url), ['--child']);
  child.send(options);
  const [started] = await once(child, 'message');
  return { ...started, stop: () => child.kill() };
}

async function measure() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '7' },
      server: { type: 'string' },
      port: { type: 'string', default: '1433' },
      user: { type: 'string', default: 'sa' },
      password: { type: 'string', default: '' },
      sql: { type: 'string', default: ROWS },
      write: { type: 'boolean' },
    },
  });
  const entra = await startEntraEmulator();
  const behind = values.server === undefined ? await start({}) : undefined;
  const target = behind
    ? { server: 'localhost', port: behind.port, ...behind.login }
    : { server: values.server, port: Number(values.port), user: values.user, password: values.password };
  const gateway = await start({
    trust: { jwks: entra.jwks, issuers: [entra.issuer] },
    upstream: { ...target, options: { trustServerCertificate: true } },
  });

  const relay = await start({ relayTo: target });
  const byPassword = { type: 'default', options: { userName: target.user, password: target.password } };
  const byToken = { type: 'azure-active-directory-access-token', options: { token: entra.issueToken() } };
  const connections = {
    direct: await connect(target.server, target.port, byPassword),
    'TCP relay': await connect('localhost', relay.port, byPassword),
    gateway: await connect('localhost', gateway.port, byToken),
  };
  const work = {
    '`SELECT 1`, one after the other': roundTripsPerSecond,
    'rows of a stream of 100,000': (connection) => rowsPerSecond(connection, values.sql),
  };
  const rows = [];
  for (const [name, run] of Object.entries(work)) {
    const samples = Object.fromEntries(Object.keys(connections).map((way) => [way, []]));
    for (const connection of Object.values(connections)) await run(connection);
    for (let round = 0; round < Number(values.rounds); round += 1) {
      for (const [way, connection] of Object.entries(connections)) samples[way].push(await run(connection));
    }
    const direct = median(samples.direct);
    const share = (way) => (median(samples[way]) / direct).toFixed(2);
    rows.push({
      'per second': name,
      direct: Math.round(direct),
      'through a TCP relay': share('TCP relay'),
      'through the gateway': share('gateway'),
      'gateway / relay': (median(samples.gateway) / median(samples['TCP relay'])).toFixed(2),
    });
  }
  publishFigures('testing-gateway.md', 'the gateway', rows, { write: values.write && behind !== undefined });
  for (const connection of Object.values(connections)) connection.close();
  for (const child of [relay, gateway, behind]) child?.stop();
  await entra.close();
}

async function connect(server, port, authentication) {
  const options = { port, encrypt: true, trustServerCertificate: true, requestTimeout: 0 };
  const connection = new Connection({ server, authentication, options });
  await new Promise((resolve, reject) => connection.connect((error) => (error ? reject(error) : resolve())));
  return connection;
}

function run(connection, statement, onRow) {
  return new Promise((resolve, reject) => {
    const request = new Request(statement, (error) => (error ? reject(error) : resolve()));
    if (onRow) request.on('row', onRow);
    connection.execSqlBatch(request);
  });
}

async function roundTripsPerSecond(connection) {
  const started = performance.now();
  for (let i = 0; i < ROUND_TRIPS; i += 1) await run(connection, 'SELECT 1');
  return (ROUND_TRIPS * 1000) / (performance.now() - started);
}

async function rowsPerSecond(connection, statement) {
  let rows = 0;
  const started = performance.now();
  await run(connection, statement, () => {
    rows += 1;
  });
  return (rows * 1000) / (performance.now() - started);
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

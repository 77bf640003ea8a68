// The cost of starting the test kit and of logging in to it. Build first: npm run build && node bench/kit.mjs [--logins 300]
//
// Start: import of mssql-token-pool/testing, then the first and the second emulator of each kind, each in a fresh process
// (median of 7). Logins: full tedious logins, 8 at a time, to an emulator in a separate process, with the CPU time of each side
// per login.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Connection } from 'tedious';

const KIT = '../dist/testing/index.mjs';
const AT_ONCE = 8;

if (process.argv[2] === '--start') await measureStart();
else if (process.argv[2] === '--serve') await serve();
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

async function serve() {
  process.on('disconnect', () => process.exit());
  process.on('message', () => process.send(cpuMs()));
  const { startSqlEmulator } = await import(KIT);
  const server = await startSqlEmulator();
  process.send({ port: server.port, ...server.sqlLogin });
}

async function measure() {
  const { values } = parseArgs({ options: { logins: { type: 'string', default: '300' } } });
  const program = fileURLToPath(import.meta.url);
  const starts = [];
  for (let i = 0; i < 7; i += 1) starts.push((await once(fork(program, ['--start']), 'message'))[0]);
  const median = (name) => starts.map((times) => times[name]).sort((a, b) => a - b)[3];
  console.table(Object.fromEntries(Object.keys(starts[0]).map((name) => [name, { ms: Math.round(median(name)) }])));

  const child = fork(program, ['--serve']);
  const [target] = await once(child, 'message');
  const serverCpu = async () => {
    child.send('cpu');
    return (await once(child, 'message'))[0];
  };
  await logIn(target, AT_ONCE * 4);
  const [server, own, started] = [await serverCpu(), cpuMs(), performance.now()];
  const logins = Number(values.logins);
  await logIn(target, logins);
  const seconds = (performance.now() - started) / 1000;
  console.table({
    'logins per second': Math.round(logins / seconds),
    'processor time of the emulator, ms per login': Number((((await serverCpu()) - server) / logins).toFixed(2)),
    'processor time of tedious, ms per login': Number(((cpuMs() - own) / logins).toFixed(2)),
  });
  child.disconnect();
}

async function logIn({ port, user, password }, logins) {
  let left = logins;
  const worker = async () => {
    while (left-- > 0) {
      const connection = new Connection({
        server: 'localhost',
        authentication: { type: 'default', options: { userName: user, password } },
        options: { port, encrypt: true, trustServerCertificate: true },
      });
      await new Promise((resolve, reject) => connection.connect((error) => (error ? reject(error) : resolve())));
      connection.close();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

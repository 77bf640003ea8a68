// Runs test/container against a real SQL Server.
//
//   npm run test:container [-- vitest arguments]               starts docker-compose.yml, runs, stops it
//   npm run test:container -- --server HOST [--port 1433] --user U --password P [--restart COMMAND] [vitest arguments]
//                                                              runs against an existing server
//
// All other arguments, and everything after a second `--`, go to vitest: file names, -t NAME, --bail 1.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const COMPOSE = ['compose', '--file', 'docker-compose.yml'];
/** As in docker-compose.yml. */
const CONTAINER = {
  server: 'localhost',
  port: 11433,
  user: 'sa',
  password: process.env.MSSQL_SA_PASSWORD ?? 'Local-testing-only-1',
  restart: 'docker compose restart --timeout 30 sqlserver && docker compose up --detach --wait sqlserver',
  compose: { entra: 'http://localhost:18080', gatewayPort: 11434 },
};

const OPTIONS = {
  server: { type: 'string' },
  port: { type: 'string', default: '1433' },
  user: { type: 'string', default: 'sa' },
  password: { type: 'string', default: '' },
  restart: { type: 'string' },
};
const { own, forVitest } = divide(process.argv.slice(2));
const { values } = parseArgs({ args: own, options: OPTIONS });

process.exitCode = values.server === undefined ? inContainers() : against({ ...values, port: Number(values.port) });

/** Our own options with their values, and the other arguments in order. */
function divide(args) {
  const own = [];
  const forVitest = [];
  for (let i = 0; i < args.length; i += 1) {
    if (args[i] === '--') return { own, forVitest: [...forVitest, ...args.slice(i + 1)] };
    const [name, value] = args[i].split('=', 2);
    if (!(name.startsWith('--') && Object.hasOwn(OPTIONS, name.slice(2)))) forVitest.push(args[i]);
    else if (value !== undefined) own.push(args[i]);
    else own.push(args[i], args[++i] ?? '');
  }
  return { own, forVitest };
}

function inContainers() {
  if (run('docker', ['compose', 'version'], { stdio: 'ignore' }) !== 0) {
    console.error(
      'There is no docker here. Give a server instead: npm run test:container -- --server HOST --port 1433 --user U --password P',
    );
    return 1;
  }
  try {
    const started = run('docker', [...COMPOSE, 'up', '--build', '--detach', '--wait']);
    return started === 0 ? against(CONTAINER) : started;
  } finally {
    run('docker', [...COMPOSE, 'logs', 'gateway', '--tail', '50']);
    run('docker', [...COMPOSE, 'down', '--volumes']);
  }
}

function against(server) {
  const env = { ...process.env, SERVER_UNDER_TEST: JSON.stringify(server) };
  return run('npx', ['vitest', 'run', '--config', 'vitest.container.config.ts', ...forVitest], { env });
}

function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', ...options });
  return error === undefined ? (status ?? 1) : 127;
}

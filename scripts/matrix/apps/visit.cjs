// Usage: node visit.cjs <command> <path>... starts a web server on $PORT, requests the paths while two tokens expire, and stops it.
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');
const { cross } = require('./cross.cjs');

const [command, ...paths] = process.argv.slice(2);
const port = process.env.PORT;
const server = spawn(command, { shell: true, stdio: 'inherit', detached: true });

async function visit(path) {
  const response = await fetch(`http://localhost:${port}${path}`);
  const text = await response.text();
  if (text !== '[{"id":1,"item":"coffee"}]') throw new Error(`${path}: ${response.status} ${text.slice(0, 500)}`);
}

async function up() {
  for (let tries = 0; tries < 300; tries += 1) {
    try {
      return await fetch(`http://localhost:${port}/`);
    } catch {
      await sleep(200);
    }
  }
}

let next = 0;
up()
  .then(() => cross({ query: () => visit(paths[next++ % paths.length]), close: async () => {} }))
  .catch((error) => {
    console.error(error);
    process.exitCode = 1;
  })
  .then(async () => {
    process.kill(-server.pid, 'SIGTERM');
    await once(server, 'exit');
  });

// Runs the snippets of one page one after the other, in a process of their own: node run-snippets.mjs a.mjs b.mjs ...
// What every snippet may use without saying where it comes from is in `Object.assign(globalThis, ...)` below.
import './stand-ins/register.mjs';
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createCredential, createTokenPool } from 'mssql-token-pool';
import { startEntraEmulator, startSqlEmulator } from 'mssql-token-pool/testing';
import { Request } from 'tedious';

const { env } = process;
const entra = await startEntraEmulator({ deviceCode: { intervalSeconds: 0.02 } });
const server = await startSqlEmulator({
  entra,
  certificate: JSON.parse(env.SNIPPETS_CERTIFICATE),
  // Every table has one row; statements without a table are answered by the emulator. (Sequelize 7 parses the version
  // of the server.)
  onQuery: (sql) =>
    /\bfrom\b/i.test(sql) ? [{ id: 1, name: 'Ada' }] : /charindex/i.test(sql) ? [{ version: '16.0.0' }] : undefined,
});

const application = {
  AZURE_TENANT_ID: entra.tenantId,
  AZURE_CLIENT_ID: entra.clientId,
  AZURE_CLIENT_SECRET: entra.clientSecret,
};
Object.assign(env, application, entra.managedIdentity.appService.env, {
  AZURE_AUTHORITY_HOST: entra.url,
  SQL_CLIENT_SECRET: entra.clientSecret,
  SQL_SERVER: `localhost,${server.port}`,
  SQL_DATABASE: 'app',
  SQL_ACCESS_TOKEN: entra.issueToken(),
  SQL_CONNECTION_STRING: `Server=localhost,${server.port};Database=app;Authentication=Active Directory Service Principal;User ID=${entra.clientId}@${entra.tenantId};Password=${entra.clientSecret}`,
});

/** The principal that a credential logs in to the server as. */
async function whoLogsIn(authentication) {
  const pool = createTokenPool({ server: 'localhost', port: server.port, database: 'app', authentication });
  try {
    return await pool.use(askWho);
  } finally {
    await pool.close();
  }
}

function askWho(connection) {
  return new Promise((resolve, reject) => {
    let who;
    const request = new Request('SELECT SUSER_SNAME()', (error) => (error ? reject(error) : resolve(who)));
    request.on('row', ([{ value }]) => {
      who = value;
    });
    connection.execSql(request);
  });
}

/** This person is at the browser of the operating system, and signs in where it is opened. */
function signsIn(user) {
  for (const program of ['xdg-open', 'open']) {
    const script = '#!/bin/sh\nprintf %s "$1" > address.new && mv address.new address\n';
    writeFileSync(program, script, { mode: 0o755 });
  }
  env.PATH = `${process.cwd()}:${env.PATH}`;
  const waits = setInterval(() => {
    if (!existsSync('address')) return;
    clearInterval(waits);
    const address = readFileSync('address', 'utf8');
    rmSync('address');
    void entra.signIn(address, user);
  }, 20);
}

/** This person types the next device code in. */
function typesCodeIn(user) {
  const before = entra.deviceSignIns.length;
  const waits = setInterval(() => {
    if (entra.deviceSignIns.length === before) return;
    clearInterval(waits);
    entra.deviceSignIns.at(-1).approve(user);
  }, 20);
}

whoLogsIn.on = askWho;
const made = [];
const tests = [];
Object.assign(globalThis, {
  tenantId: entra.tenantId,
  clientId: entra.clientId,
  clientSecret: entra.clientSecret,
  database: 'app',
  credential: entra.credential(),
  emulators: { entra, server },
  whoLogsIn,
  signsIn,
  typesCodeIn,
  assert,
  // Each credential that a snippet creates logs in when the snippet has ended.
  createCredential(options) {
    const credential = createCredential(options);
    made.push(credential);
    return credential;
  },
  // In pages about tests: what every test runner has.
  test: (_name, run) => tests.push(run),
  expect: (actual) => ({
    toBe: (expected) => assert.equal(actual, expected),
    toEqual: (expected) => assert.deepEqual(actual, expected),
    toHaveLength: (expected) => assert.equal(actual.length, expected),
    toBeGreaterThan: (expected) => assert.ok(actual > expected, `${actual} is not greater than ${expected}`),
  }),
});

/** Started for pages that mention them. */
async function startAzureServices(code) {
  const certificate = JSON.parse(env.SNIPPETS_CERTIFICATE);
  if (/redis\.azure\.net/.test(code) && env.SNIPPETS_REDIS_PORT !== undefined && emulators.azureRedis === undefined) {
    const { startAzureRedis } = await import('../support/azure-redis.mjs');
    const behind = { port: Number(env.SNIPPETS_REDIS_PORT), password: env.SNIPPETS_REDIS_PASSWORD };
    emulators.azureRedis = await startAzureRedis({ entra, ...behind, ...certificate });
  }
  if (/vault\.azure\.net/.test(code) && emulators.vault === undefined) {
    const { startKeyVault } = await import('../support/key-vault.mjs');
    emulators.vault = await startKeyVault({ entra, ...certificate });
    for (const key of ['0', '1']) emulators.vault.setSecret('token-store-key', key.repeat(64));
  }
}

/** Replaces the servers of the examples with those of this test. */
function withServer(code) {
  return code
    .replace(/[\w.-]+\.redis\.azure\.net:\d+/g, `localhost:${emulators.azureRedis?.port}`)
    .replace(/(["'])[\w.-]+\.redis\.azure\.net\1, port: (\d|e\d)+/g, `"localhost", port: ${emulators.azureRedis?.port}`)
    .replace(
      /new SecretClient\((["'])https:..[\w.-]+\.vault\.azure\.net\1, (.*)\);/g,
      `new SecretClient('${emulators.vault?.url}', $2, { disableChallengeResourceVerification: true });`,
    )
    .replace(/server: (["'])[\w.-]+\.database\.windows\.net\1/g, `server: "localhost", port: ${server.port}`)
    .replace(/(Server=(?:tcp:)?)[\w.-]+\.database\.windows\.net(,\d+)?/gi, `$1localhost,${server.port}`)
    .replace(/\bserver,(?=\s*database\b)/g, `server: "localhost", port: ${server.port},`);
}

for (const file of process.argv.slice(2)) {
  const before = { ...env };
  try {
    const code = readFileSync(file, 'utf8');
    await startAzureServices(code);
    writeFileSync(file, withServer(code));
    await import(file);
    for (const run of tests.splice(0)) await run();
    for (const credential of made.splice(0)) assert.ok(await whoLogsIn(credential));
  } catch (error) {
    console.error(`SNIPPET ${file}\n`, error);
    process.exit(1);
  }
  for (const name of Object.keys(env)) if (!(name in before)) delete env[name];
  Object.assign(env, before);
}
// Pools that a snippet has left open.
process.exit(0);

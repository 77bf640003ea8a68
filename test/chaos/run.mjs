import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { makeCertificate } from 'mssql-token-pool/testing';
import { FAULTS } from './faults.mjs';
import { Relay } from './relay.mjs';

const TENANT = '6b1f0c2e-2f6f-4c8e-9a3e-5d1c7b0a9f11';
const APP = { clientId: '3f2c1c0e-7a55-4d3b-8f0e-0d9c2b7a6e55', clientSecret: 'only.for~chaos' };
const TOKEN_LIFETIME_S = 10;
/** After a fault, until connections are back: back-off, a login, a key that the server has to read again. */
const RECOVERY_MS = 12_000;
/** The heap may fluctuate; a leak of one promise per query would be far larger. */
const FLAT = 1.25;

/** Injects one fault repeatedly for `seconds`, and reports its effect on an application. */
export async function runFault(name, seconds) {
  const fault = FAULTS[name];
  const site = await Site.start();
  const client = site.startClient(fault.client, seconds);
  await once(client, 'message');
  const windows = [];
  const window = async (run) => {
    const opened = { from: Date.now(), to: Number.POSITIVE_INFINITY };
    windows.push(opened);
    await run();
    opened.to = Date.now() + RECOVERY_MS;
  };
  await sleep(1_000);
  const end = Date.now() + seconds * 1_000;
  let blows = 0;
  do {
    await fault.strike(site, window);
    blows += 1;
    await sleep(fault.pauseMs);
  } while (Date.now() < end);
  await sleep(2_000);

  client.send('stop');
  const report = await Promise.race([once(client, 'message'), once(client, 'exit')]).then(([first]) => {
    if (typeof first === 'object' && first !== null) return first;
    throw new Error(`the application ended (${first}) without a report`);
  });
  const exited = client.exitCode !== null ? true : await Promise.race([once(client, 'exit'), sleep(10_000, false)]);
  const server = await site.askServer();
  await site.stop();

  const { failures, memory, ...counts } = report;
  const unexplained = failures.filter(
    ({ at, message, cause, code }) =>
      !windows.some(({ from, to }) => from <= at && at <= to) ||
      !fault.explains.test([message, cause, code].filter(Boolean).join(' ')),
  );
  return {
    name,
    title: fault.title,
    ...counts,
    blows,
    failed: failures.length,
    byCause: tally(failures.map(({ name: kind, code, number }) => [kind, number ?? code].filter(Boolean).join(' '))),
    unexplained,
    connectionsLeft: server.open,
    refused: server.refused,
    exitsByItself: exited !== false,
    memoryRatio: lastToFirst(memory),
  };
}

/** Violations, one line each; empty if there are none. */
export function faultsFound(result, { checkMemory }) {
  const found = [];
  if (result.queries === 0) found.push('no query succeeded');
  if (result.waitersLost !== 0) found.push(`${result.waitersLost} waiters lost`);
  if (result.left !== 0 || result.connectionsLeft !== 0) found.push(`${result.connectionsLeft} connections left open`);
  if (!result.exitsByItself) found.push('the process did not end by itself after close()');
  if (result.refused.some((message) => /expired/.test(message))) found.push('a login was refused for its stale token');
  for (const failure of result.unexplained.slice(0, 5)) found.push(`unexplained: ${JSON.stringify(failure)}`);
  if (checkMemory && result.memoryRatio > FLAT) found.push(`memory grew to ${result.memoryRatio.toFixed(2)} times`);
  return found;
}

class Site {
  tokenLifetimeMs = TOKEN_LIFETIME_S * 1_000;
  #certificate = makeCertificate({ commonName: 'localhost' });
  #signingKey = makeCertificate({ commonName: 'issuer', keyType: 'rsa' }).key;
  #identityPort = 0;
  #serverPort = 0;

  static async start() {
    const site = new Site();
    await site.startIdentityProvider();
    const { config } = await site.startServer();
    site.relay = new Relay(site.#serverPort);
    site.config = { ...config, port: await site.relay.listen() };
    return site;
  }

  async startIdentityProvider() {
    this.identityProvider = start('identity-process.mjs', {
      ...{ port: this.#identityPort, tenantId: TENANT, app: APP, tokenLifetimeSeconds: TOKEN_LIFETIME_S },
      signingKey: this.#signingKey,
    });
    const [{ url }] = await once(this.identityProvider, 'message');
    this.url = url;
    this.#identityPort = Number(new URL(url).port);
  }

  async startServer() {
    const { cert, key } = this.#certificate;
    this.server = start('server-process.mjs', {
      ...{ issuer: `${this.url}/${TENANT}`, port: this.#serverPort, certificate: { cert, key } },
    });
    const [{ config }] = await once(this.server, 'message');
    this.#serverPort = config.port;
    return { config };
  }

  startClient({ pool = { max: 20 }, callers = 50, pauseMs = 100, slowReaders = 0 } = {}, seconds) {
    const authentication = { tenantId: TENANT, ...APP, authority: this.url };
    const config = {
      ...{ ...this.config, authentication, connectionTimeout: 4_000, requestTimeout: 4_000 },
      pool: { acquireTimeoutMillis: 15_000, ...pool },
    };
    // Large answers take time, and so does a login next to them.
    if (slowReaders > 0) Object.assign(config, { connectionTimeout: 15_000, requestTimeout: 60_000 });
    const memoryEveryMs = Math.max(250, seconds * 10);
    return start('client-process.mjs', { config, callers, pauseMs, slowReaders, memoryEveryMs }, ['--expose-gc']);
  }

  async askServer() {
    // A server learns of the last close a moment later.
    for (let i = 0; ; i += 1) {
      this.server.send('report');
      const [report] = await once(this.server, 'message');
      if (report.open === 0 || i === 50) return report;
      await sleep(100);
    }
  }

  async stop() {
    this.relay.close();
    this.server.kill('SIGKILL');
    this.identityProvider.kill('SIGKILL');
  }
}

function start(file, settings, execArgv = []) {
  const env = { ...process.env, CHAOS: JSON.stringify(settings) };
  return fork(fileURLToPath(new URL(file, import.meta.url)), { env, execArgv });
}

function tally(keys) {
  const counts = {};
  for (const key of keys) counts[key] = (counts[key] ?? 0) + 1;
  return counts;
}

/** Median of the last fifth over that of the first; what is loaded in the beginning counts as first. */
function lastToFirst(samples) {
  const fifth = Math.max(1, Math.floor(samples.length / 5));
  return median(samples.slice(-fifth)) / median(samples.slice(0, fifth));
}

function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 1;
}

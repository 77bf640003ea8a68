import { channel } from 'node:diagnostics_channel';
import type { TokenPoolConfig } from '../../../src/index.js';
import { Random } from '../../support/random.js';
import { unusedPort } from '../../support/unused-port.js';
import type { ProcessWatch } from '../process-watch.js';
import { everythingPrinted, plantedSecret, secretIn, secretOnWire } from '../secrets.js';
import type { Client, ClientFactory } from './clients.js';
import { FAULTS } from './faults.js';
import { HostileServer, type HostileServerOptions, type Phase } from './server.js';

/** Small, because a silent server costs it; sockets need real time. */
export const CREATE_TIMEOUT_MS = 800;
/** How a line begins that may also be due to a machine which is too busy for the client's limit. */
export const NOT_WELL_AGAIN = 'the next checkout fails once the server is well';

/** The first login after a failed one may be this much later. */
const BACK_OFF_MS = 6_000;
/** Only a client that does not work again needs all of it. */
const HEALED_WITHIN_MS = BACK_OFF_MS + 30_000;
/** A busy machine may take this much longer; a hang takes forever. Only a hang needs all of it. */
const PATIENCE_MS = 20_000;
/** How long a request at which the server misbehaves is awaited before the pool is closed: it may hang, see below. */
const REQUEST_PATIENCE_MS = 1_000;

export interface Cell {
  client: ClientFactory;
  phase: Phase;
  fault: string;
  login: 'token' | 'password';
  seed: number;
  /** The client's limit for opening a connection, ms; a checkout may take twice as long. */
  createTimeoutMs?: number;
  server?: HostileServerOptions;
  /** What the server to which it redirects does with the client; default: it does not encrypt and asks for a token. */
  hop?: HostileServerOptions;
}

/**
 * Runs one cell of the table against a server of its own, and gives a line for each promise that was broken: settles in
 * time, with an error that has a code and a message; holds no permit and no socket; sends no secret in the clear, prints none; throws nothing at the process;
 * and works again once the server does.
 */
export async function runCell(cell: Cell, watch: ProcessWatch): Promise<string[]> {
  const crashes: string[] = [];
  const broken = await watch.run(crashes, () => tryCell(cell));
  return [...broken, ...crashes];
}

async function tryCell(cell: Cell): Promise<string[]> {
  const { client: open, phase, fault, login, seed, createTimeoutMs = CREATE_TIMEOUT_MS, server: options, hop } = cell;
  const acquireTimeoutMs = 2 * createTimeoutMs;
  const broken: string[] = [];
  const secret = plantedSecret(login === 'token' ? 600 : 40);
  await using server = await HostileServer.start(options);
  await using plain = await HostileServer.start({ encryption: 2, ...hop });
  const makeFault = FAULTS[fault];
  if (makeFault === undefined) throw new Error(`no such fault: ${fault}`);
  const closedPort = await unusedPort();
  server.misbehaveAt(phase, makeFault({ plain, closedPort, random: new Random(seed) }));

  const events: string[] = [];
  const stopListening = onEveryEvent((payload) => events.push(everythingPrinted(payload)));
  const client = await open(configFor(server.port, login, secret, createTimeoutMs));
  try {
    const atReset = phase === 'reset';
    if (atReset && client.resetAndQuery === undefined) return [];
    const startedAt = performance.now();
    const running = Promise.resolve(atReset ? client.resetAndQuery?.() : client.query());
    const outcome = await settle(() => running, acquireTimeoutMs, isLogin(phase) ? PATIENCE_MS : REQUEST_PATIENCE_MS);
    const tookMs = performance.now() - startedAt;
    if (outcome.hung && isLogin(phase)) return [`did not settle within ${Math.round(tookMs)} ms`];
    if (outcome.hung) {
      // tedious stops the timer of a request at the first packet of its answer (MS-TDS has no limit for the rest): how long
      // an application waits for the rows of its own request is up to the application. Closing the pool has to end the
      // wait.
      await settle(() => client.close(), 1_000);
      const afterClose = await settle(() => running, 0);
      return afterClose.hung
        ? ['a request does not settle after the pool was closed']
        : judgeOutcome(afterClose, secret);
    }
    broken.push(...judgeOutcome(outcome, secret, isLogin(phase)));
    // A login that ends after its caller has given up leaves a connection in the pool, and so does a request that times out.
    const sockets = (): number => server.open + plain.open;
    await until(() => client.inUse().opening === 0 && client.inUse().size === sockets(), PATIENCE_MS);
    const { opening, size } = client.inUse();
    if (opening !== 0) broken.push(`${opening} connections are still being opened`);
    if (size !== sockets()) broken.push(`has ${size} connections and leaves ${sockets()} sockets open`);
    if (outcome.error !== undefined && isLogin(phase) && server.visitors + plain.visitors > 12)
      broken.push(`${server.visitors + plain.visitors} logins for one checkout`);

    // A client that still holds a permit cannot work again: one line per fault is enough.
    if (broken.length > 0) return broken;
    server.heal();
    // Within a shorter limit, not even a server that is well may answer.
    if (createTimeoutMs >= CREATE_TIMEOUT_MS) {
      const next = await settle(() => healed(client), HEALED_WITHIN_MS + acquireTimeoutMs);
      if (next.hung) broken.push(`${NOT_WELL_AGAIN}: it does not settle`);
      else if (next.error !== undefined) broken.push(`${NOT_WELL_AGAIN}: ${short(next.error)}`);
    }
    for (const object of client.printable) {
      if (secretIn(everythingPrinted(object), [secret])) broken.push('a secret in what is printed of the pool');
    }
  } finally {
    stopListening();
    const closed = await settle(() => client.close(), 1_000);
    if (closed.hung) broken.push('close() does not settle');
    else if (!(await until(() => server.open + plain.open === 0, PATIENCE_MS))) {
      broken.push(`leaves ${server.open + plain.open} sockets open after close()`);
    }
  }
  for (const wire of [server.wire, plain.wire]) {
    if (secretOnWire(wire, [secret])) broken.push('a secret in the clear on the wire');
  }
  if (events.some((event) => secretIn(event, [secret]))) broken.push('a secret in an event');
  return broken;
}

function configFor(
  port: number,
  login: 'token' | 'password',
  secret: string,
  createTimeoutMillis: number,
): TokenPoolConfig {
  const who =
    login === 'token'
      ? { authentication: { getToken: async () => ({ token: secret, expiresOnTimestamp: Date.now() + 3_600_000 }) } }
      : { user: 'app', password: secret };
  return {
    server: 'localhost',
    port,
    database: 'app',
    ...who,
    requestTimeout: createTimeoutMillis,
    options: { encrypt: true, trustServerCertificate: true, cancelTimeout: 200 },
    pool: { max: 2, createTimeoutMillis, acquireTimeoutMillis: 2 * createTimeoutMillis },
  } as TokenPoolConfig;
}

interface Outcome {
  hung: boolean;
  error?: unknown;
  value?: unknown;
}

async function settle(work: () => unknown, withinMs: number, patienceMs = PATIENCE_MS): Promise<Outcome> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<Outcome>((resolve) => {
    timer = setTimeout(() => resolve({ hung: true }), withinMs + patienceMs);
  });
  const settled = (async (): Promise<Outcome> => {
    try {
      return { hung: false, value: await work() };
    } catch (error) {
      return { hung: false, error: error ?? new Error(`rejected with ${error}`) };
    }
  })();
  try {
    return await Promise.race([settled, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

/** An error of a request is the driver's own, and tedious gives some of them no code; that of a login is ours. */
function judgeOutcome({ error }: Outcome, secret: string, isOurs = false): string[] {
  if (error === undefined) return [];
  const broken: string[] = [];
  if (secretIn(everythingPrinted(error), [secret])) broken.push('a secret in the error');
  if (!(error instanceof Error)) return [...broken, `not an Error: ${String(error)}`];
  if ((isOurs ? error.message : driverMessage(error)).trim() === '') broken.push('an error without a message');
  if (isOurs && !hasCode(error)) broken.push(`an error without a code: ${short(error)}`);
  return broken;
}

/** tedious and Sequelize 7 gather several errors of one request in one that has no message of its own. */
function driverMessage(error: Error): string {
  const { errors } = error as { errors?: unknown };
  return error.message || (Array.isArray(errors) ? errors.map(String).join('\n') : '');
}

/** On the error or, where a library wraps it, in the chain below. */
function hasCode(error: unknown, depth = 0): boolean {
  if (typeof error !== 'object' || error === null || depth > 5) return false;
  const { code, cause, originalError, parent, errors } = error as Record<string, unknown>;
  if (typeof code === 'string' && code !== '') return true;
  const below = [cause, originalError, parent, ...(Array.isArray(errors) ? errors : [])];
  return below.some((next) => hasCode(next, depth + 1));
}

function short(error: unknown): string {
  const { name, code, message } = error as NodeJS.ErrnoException;
  return `${name} ${code ?? ''} ${String(message).slice(0, 120)}`;
}

const LOGIN_PHASES: ReadonlySet<Phase> = new Set<Phase>([
  'prelogin',
  'tls',
  'login7',
  'fedauthinfo',
  'token',
  'login response',
  'first batch',
]);
function isLogin(phase: Phase): boolean {
  return LOGIN_PHASES.has(phase);
}

/**
 * A query that works once the back-off is over. On a busy machine, even a good login may exceed its limit, so it is
 * tried for long.
 */
async function healed(client: Client): Promise<unknown> {
  const deadline = performance.now() + HEALED_WITHIN_MS;
  for (;;) {
    try {
      return await client.query();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

async function until(condition: () => boolean, withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (!condition() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
  return condition();
}

const EVENTS = [
  'token:requested',
  'token:refreshed',
  'token:failed',
  'token:invalidated',
  'pool:opened',
  'connection:opened',
  'connection:evicted',
  'connection:login-failed',
  'checkout',
  'checkin',
  'checkout:timed-out',
];

function onEveryEvent(listener: (payload: unknown) => void): () => void {
  const channels = EVENTS.map((event) => channel(`mssql-token-pool:${event}`));
  for (const each of channels) each.subscribe(listener);
  return () => {
    for (const each of channels) each.unsubscribe(listener);
  };
}

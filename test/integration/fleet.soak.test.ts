import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  type EntraEmulator,
  type LoginRecord,
  type SqlEmulator,
  startEntraEmulator,
  startSqlEmulator,
} from '../../src/testing/index.js';
import { hasRedis, Network, RedisServer } from '../support/redis.js';

const SIZE = 50;
const LIFETIME_MS = 9_000;
const REFRESH_IN_MS = 7_000;
/**
 * A token is refreshed up to 10 % earlier than `refresh_in`, and MSAL counts whole seconds from before its request. Two
 * requests for the same token would be much closer together: all processes refresh within those 10 %.
 */
const APART_MS = REFRESH_IN_MS * 0.9 - 2_000;
/** Long enough for an overloaded machine to load MSAL and send its request: a process that takes longer counts as dead. */
const LEASE_MS = 10_000;
const MEMBER = fileURLToPath(new URL('./fleet-member.mjs', import.meta.url));
const isBuilt = existsSync(new URL('../../dist/tokens/redis.js', import.meta.url));
if (!isBuilt) process.stderr.write('SKIPPED: the fleet needs a build (npm run build)\n');

interface Member {
  child: ChildProcess;
  outcome: Promise<{ queries: number; failures: string[] } | undefined>;
}

/**
 * Fifty processes go through all tests below, one after the other. The counts do not depend on the speed of the machine:
 * one process requests the next token, no earlier than the refresh is due.
 */
describe.skipIf(!hasRedis || !isBuilt)(`a fleet of ${SIZE} processes with one token`, { timeout: 120_000 }, () => {
  let redis: RedisServer;
  let network: Network;
  let entra: EntraEmulator;
  let server: SqlEmulator;
  let members: Member[] = [];
  let onRequest: ((member: ChildProcess) => void) | undefined;
  const storeFailures: string[] = [];

  beforeAll(async () => {
    redis = await RedisServer.start();
    network = new Network(redis.port);
    entra = await startEntraEmulator({
      tokenLifetimeSeconds: LIFETIME_MS / 1000,
      refreshInSeconds: REFRESH_IN_MS / 1000,
    });
    server = await startSqlEmulator({ entra, loginTimeoutMs: 60_000 });
    const fleet = {
      redisPort: await network.listen(),
      key: randomBytes(32).toString('base64'),
      // Longer than an overloaded machine keeps Redis waiting.
      store: { leaseMs: LEASE_MS, timeoutMs: 10_000 },
      server: server.config({ user: 'unused', connectionTimeout: 60_000 }),
      application: {
        tenantId: entra.tenantId,
        clientId: entra.clientId,
        clientSecret: entra.clientSecret,
        authority: entra.url,
      },
    };
    members = Array.from({ length: SIZE }, () => start({ ...fleet, server: { ...fleet.server, user: undefined } }));
    await Promise.all(
      members.map(
        ({ child }) =>
          new Promise((resolve) => child.on('message', (message: { ready?: true }) => message.ready && resolve(true))),
      ),
    );
  }, 400_000);

  afterAll(async () => {
    for (const { child } of members) child.kill('SIGKILL');
    await server?.close();
    await entra?.close();
    await network?.[Symbol.asyncDispose]();
    await redis?.[Symbol.asyncDispose]();
  });

  function start(fleet: object): Member {
    const child = fork(MEMBER, { env: { ...process.env, FLEET: JSON.stringify(fleet) }, execArgv: [] });
    const outcome = new Promise<{ queries: number; failures: string[] } | undefined>((resolve) => {
      child.once('exit', () => resolve(undefined));
      child.on(
        'message',
        (message: { queries?: number; failures?: string[]; requests?: true; storeFailed?: string }) => {
          if (message.requests) onRequest?.(child);
          if (message.storeFailed) storeFailures.push(message.storeFailed);
          if (message.queries !== undefined) resolve(message as { queries: number; failures: string[] });
        },
      );
    });
    return { child, outcome };
  }

  /** Waits for that many more token requests; resolves with the time between each and the one before, ms. */
  async function untilRequests(more: number): Promise<number[]> {
    const from = entra.requests.length;
    await vi.waitFor(() => expect(entra.requests.length).toBeGreaterThanOrEqual(from + more), {
      timeout: 90_000,
      interval: 20,
    });
    const times = entra.requests.slice(Math.max(0, from - 1), from + more).map((request) => request.time);
    return times.slice(1).map((time, i) => time - (times[i] as number));
  }

  test('makes one request per token through five lifetimes after a common start', async () => {
    const startedAt = Date.now();
    for (const { child } of members) child.send('go');
    const gaps: number[] = [];
    while (Date.now() - startedAt < 5 * LIFETIME_MS) gaps.push(...(await untilRequests(1)));
    expect(storeFailures).toEqual([]);
    expect(gaps.length).toBeGreaterThanOrEqual(5);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(APART_MS);
  });

  test('makes one request per token while 20 % of the packets to Redis are late', async () => {
    network.late = { share: 0.2, ms: 150 };
    await untilRequests(1);
    const gaps = await untilRequests(3);
    network.late = { share: 0, ms: 0 };
    expect(storeFailures).toEqual([]);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(APART_MS);
  });

  test('after the requesting process is killed, exactly one other takes over its lease', async () => {
    await untilRequests(1);
    const victim = new Promise<ChildProcess>((resolve) => {
      onRequest = resolve;
    });
    entra.fail({ hang: true, count: 1 });
    (await victim).kill('SIGKILL');
    onRequest = undefined;
    entra.heal();
    const killedAt = Date.now();
    const from = entra.requests.length;
    await vi.waitFor(() => expect(entra.requests.length).toBeGreaterThan(from), { timeout: 40_000, interval: 10 });
    // The lease began before the kill. shared-store.test.ts checks the exact bound; this machine may be overloaded.
    expect((entra.requests.at(-1)?.time ?? 0) - killedAt).toBeLessThan(2 * LEASE_MS);
    const [, ...gaps] = await untilRequests(3);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(APART_MS);
  });

  test('neither the content of Redis nor its traffic contains a token, tenant, client or secret', async () => {
    const kept = await vi.waitFor(
      async () => {
        const dump = await redis.dump();
        expect(dump.includes('mssql-token-pool:')).toBe(true);
        return dump;
      },
      { timeout: 30_000 },
    );
    const aToken = entra.issueToken({ principal: entra.clientId });
    const [header = ''] = aToken.split('.');
    for (const secret of [header, entra.tenantId, entra.clientId, entra.clientSecret, 'database.windows.net']) {
      for (const bytes of [kept, network.seen]) {
        for (const form of [secret, ...(['hex', 'base64'] as const).map((f) => Buffer.from(secret).toString(f))]) {
          expect(bytes.includes(form), form).toBe(false);
        }
      }
    }
  });

  test('without Redis each process requests its own token; after a restart one request serves all again', async () => {
    const alive = members.filter(({ child }) => child.exitCode === null && child.signalCode === null).length;
    const before = entra.requests.length;
    await redis.stop();
    // Every process has to request its own token.
    await vi.waitFor(() => expect(entra.requests.length).toBeGreaterThanOrEqual(before + alive), {
      timeout: 60_000,
      interval: 50,
    });
    await redis.start();
    // The first to refresh shares with those that refresh later; after two generations all processes share again.
    await vi.waitFor(
      async () => {
        const gaps = await untilRequests(3);
        expect(Math.min(...gaps)).toBeGreaterThanOrEqual(APART_MS);
      },
      { timeout: 60_000, interval: 0 },
    );
    expect(storeFailures.length).toBeGreaterThan(0);
  });

  test('no query failed or ran as another identity', async () => {
    const stoppedAt = Date.now();
    for (const { child } of members) if (child.connected) child.send('stop');
    const outcomes = (await Promise.all(members.map((member) => member.outcome))).filter((each) => each !== undefined);
    expect(outcomes).toHaveLength(SIZE - 1);
    expect(tally(outcomes.flatMap((each) => each.failures))).toEqual({});
    for (const { queries } of outcomes) expect(queries).toBeGreaterThan(10);
    // A login that is under way when its own pool closes is abandoned.
    const givenUp = (login: LoginRecord): boolean => login.error === 'dropped' && (login.closed ?? 0) >= stoppedAt;
    expect(server.logins.filter((login) => !login.accepted && !givenUp(login))).toEqual([]);
  });
});

/** How often each message occurs. */
function tally(messages: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const message of messages) counts[message] = (counts[message] ?? 0) + 1;
  return counts;
}

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
 * A token is renewed up to 10 % earlier than the issuer says, and MSAL knows whole seconds only, counted from before its
 * request. Two requests for one token would be less apart by far: all processes look within those 10 %.
 */
const APART_MS = REFRESH_IN_MS * 0.9 - 2_000;
/** Long enough for an overloaded machine to load MSAL and ask: whoever takes longer is thought dead. */
const LEASE_MS = 10_000;
const MEMBER = fileURLToPath(new URL('./fleet-member.mjs', import.meta.url));
const isBuilt = existsSync(new URL('../../dist/tokens/redis.js', import.meta.url));
if (!isBuilt) process.stderr.write('SKIPPED: the fleet needs a build (npm run build)\n');

interface Member {
  child: ChildProcess;
  outcome: Promise<{ queries: number; failures: string[] } | undefined>;
}

/**
 * Fifty processes that live through everything below, one after the other. What is counted does not depend on the speed
 * of the machine: a token is asked for again no earlier than its refresh is due, by one process.
 */
describe.skipIf(!hasRedis || !isBuilt)(`a fleet of ${SIZE} processes with one token`, { timeout: 120_000 }, () => {
  let redis: RedisServer;
  let network: Network;
  let entra: EntraEmulator;
  let server: SqlEmulator;
  let members: Member[] = [];
  let onAsk: ((member: ChildProcess) => void) | undefined;
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
      server: server.config({ user: 'nobody', connectionTimeout: 60_000 }),
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
      child.on('message', (message: { queries?: number; failures?: string[]; asks?: true; storeFailed?: string }) => {
        if (message.asks) onAsk?.(child);
        if (message.storeFailed) storeFailures.push(message.storeFailed);
        if (message.queries !== undefined) resolve(message as { queries: number; failures: string[] });
      });
    });
    return { child, outcome };
  }

  /** Waits until so many more tokens have been asked for; gives the times between them and the one before. */
  async function untilRequests(more: number): Promise<number[]> {
    const from = entra.requests.length;
    await vi.waitFor(() => expect(entra.requests.length).toBeGreaterThanOrEqual(from + more), {
      timeout: 90_000,
      interval: 20,
    });
    const times = entra.requests.slice(Math.max(0, from - 1), from + more).map((request) => request.time);
    return times.slice(1).map((time, i) => time - (times[i] as number));
  }

  test('all start at once and live through five lifetimes: one request for each token', async () => {
    const startedAt = Date.now();
    for (const { child } of members) child.send('go');
    const gaps: number[] = [];
    while (Date.now() - startedAt < 5 * LIFETIME_MS) gaps.push(...(await untilRequests(1)));
    expect(storeFailures).toEqual([]);
    expect(gaps.length).toBeGreaterThanOrEqual(5);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(APART_MS);
  });

  test('20 % of the packets to Redis come late: still one request for each token', async () => {
    network.late = { share: 0.2, ms: 150 };
    await untilRequests(1);
    const gaps = await untilRequests(3);
    network.late = { share: 0, ms: 0 };
    expect(storeFailures).toEqual([]);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(APART_MS);
  });

  test('the process that asks is killed: the lease passes, another one asks, once', async () => {
    await untilRequests(1);
    const victim = new Promise<ChildProcess>((resolve) => {
      onAsk = resolve;
    });
    entra.fail({ hang: true, count: 1 });
    (await victim).kill('SIGKILL');
    onAsk = undefined;
    entra.heal();
    const killedAt = Date.now();
    const from = entra.requests.length;
    await vi.waitFor(() => expect(entra.requests.length).toBeGreaterThan(from), { timeout: 40_000, interval: 10 });
    // Its lease began before it was killed; shared-store.test.ts has the bound to the ms, this machine may be overloaded.
    expect((entra.requests.at(-1)?.time ?? 0) - killedAt).toBeLessThan(2 * LEASE_MS);
    const [, ...gaps] = await untilRequests(3);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(APART_MS);
  });

  test('what Redis holds and what went over the wire names no token, tenant, client or secret', async () => {
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

  test('Redis is stopped and started again: each for itself meanwhile, then one for all again', async () => {
    const alive = members.filter(({ child }) => child.exitCode === null && child.signalCode === null).length;
    const before = entra.requests.length;
    await redis.stop();
    // Every process has to get its own.
    await vi.waitFor(() => expect(entra.requests.length).toBeGreaterThanOrEqual(before + alive), {
      timeout: 60_000,
      interval: 50,
    });
    await redis.start();
    // Whoever renews first shares with all whose turn comes later; after two generations everybody has met.
    await vi.waitFor(
      async () => {
        const gaps = await untilRequests(3);
        expect(Math.min(...gaps)).toBeGreaterThanOrEqual(APART_MS);
      },
      { timeout: 60_000, interval: 0 },
    );
    expect(storeFailures.length).toBeGreaterThan(0);
  });

  test('no query failed, and none ran as somebody else', async () => {
    const stoppedAt = Date.now();
    for (const { child } of members) if (child.connected) child.send('stop');
    const outcomes = (await Promise.all(members.map((member) => member.outcome))).filter((each) => each !== undefined);
    expect(outcomes).toHaveLength(SIZE - 1);
    expect(tally(outcomes.flatMap((each) => each.failures))).toEqual({});
    for (const { queries } of outcomes) expect(queries).toBeGreaterThan(10);
    // A login that is under way when its own pool closes is given up.
    const givenUp = (login: LoginRecord): boolean => login.error === 'dropped' && (login.closed ?? 0) >= stoppedAt;
    expect(server.logins.filter((login) => !login.accepted && !givenUp(login))).toEqual([]);
  });
});

/** How often each was said. */
function tally(messages: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const message of messages) counts[message] = (counts[message] ?? 0) + 1;
  return counts;
}

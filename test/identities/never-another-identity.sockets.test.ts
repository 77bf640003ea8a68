import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createTokenPools, TokenPoolError, type TokenPoolsConfig } from '../../src/index.js';
import { startEntraEmulator, startSqlEmulator } from '../../src/testing/index.js';
import { query } from '../support/query.js';
import { Random } from '../support/random.js';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
const IDENTITIES = 2_000;
/** `npm run soak` sends 3,000. */
const QUERIES = Number(process.env.QUERIES ?? 600);
const WORKERS = 40;

test(`P9: ${IDENTITIES} identities interleaved on 12 connections, with faults: no query ever runs as another (SEED=${SEED})`, async () => {
  const chance = new Random(SEED);
  const random = (): number => chance.next();
  const entra = await startEntraEmulator({ tokenLifetimeSeconds: 20 });
  const server = await startSqlEmulator({ entra, enforceExpiry: 'reset' });
  const { authentication: _, ...reach } = server.config();
  const pools = createTokenPools({
    ...(reach as TokenPoolsConfig),
    maxConnections: 12,
    maxPools: 40,
    connectionTimeout: 60_000,
    // Short waits during faults, to save time.
    pool: { max: 3, acquireTimeoutMillis: 60_000, createTimeoutMillis: 4_000 },
  });
  const users = Array.from({ length: IDENTITIES }, () => entra.addUser());
  let asked = 0;
  let failed = 0;
  const wrong: string[] = [];
  const unexpected: unknown[] = [];

  function fault(): void {
    const kind = random();
    if (kind < 0.3) server.dropConnections();
    else if (kind < 0.5) server.failLogins({ number: 40613, state: 1, class: 14, message: 'unavailable', count: 2 });
    else if (kind < 0.7)
      server.failLogins({ number: 18456, state: 233, class: 14, message: 'Token is expired.', count: 1 });
    else if (kind < 0.85) server.failLogins({ drop: true, count: 1 });
    else entra.fail({ status: 503, count: 1 });
  }

  async function worker(): Promise<void> {
    while (asked < QUERIES) {
      asked += 1;
      // Few come often, many seldom.
      const user = users[Math.floor(random() ** 3 * IDENTITIES)] as (typeof users)[number];
      // A credential object of its own for each call, as a web API has it.
      const identity = { key: user.objectId, authentication: entra.credential(user.userName) };
      if (random() < 0.005) fault();
      const hasLittleTime = random() < 0.05;
      const signal = hasLittleTime ? AbortSignal.timeout(Math.ceil(random() * 20)) : undefined;
      try {
        await pools.run(identity, async () => {
          if (random() < 0.5) await sleep(random() * 3);
          const connection = await pools.current.acquire({ signal });
          try {
            const [[name] = []] = await query(connection, 'SELECT SUSER_SNAME()');
            if (name !== user.userName) wrong.push(`${user.userName} ran as ${name}`);
          } finally {
            if (random() < 0.05) pools.current.destroy(connection);
            else pools.current.release(connection);
          }
        });
      } catch (error) {
        failed += 1;
        const isFault = error instanceof TokenPoolError || (error as { code?: string }).code?.startsWith('E') === true;
        if (!isFault) unexpected.push(error);
      }
      const { size, opening, pools: open } = pools.stats;
      if (size + opening > 12 || open > 40) unexpected.push(new Error(`${size + opening} connections, ${open} pools`));
    }
  }

  try {
    await Promise.all(Array.from({ length: WORKERS }, worker));
    expect(wrong).toEqual([]);
    expect(unexpected).toEqual([]);
    expect(failed).toBeLessThan(QUERIES / 2);
    expect(new Set(server.logins.map((login) => login.principal)).size).toBeGreaterThan((2 / 9) * QUERIES);
    await pools.close();
    expect(pools.stats).toMatchObject({ size: 0, borrowed: 0, pending: 0 });
    await expect.poll(() => server.connections.open).toBe(0);
  } finally {
    await pools.close({ timeoutMs: 0 });
    await server.close();
    await entra.close();
  }
}, 240_000);

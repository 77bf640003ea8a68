import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { CHANNEL_NAMES, CHANNEL_PREFIX, type ChannelName } from '../../src/channels.js';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import { site } from '../support/pool.js';

/** Of a store that processes share; its own tests look at them. */
const ELSEWHERE: ChannelName[] = ['token:store-failed', 'token:store-recovered'];

test('no payload of any channel carries a token or a secret, whatever goes wrong (P10)', async () => {
  const seen = new Map<ChannelName, string[]>();
  const listeners = CHANNEL_NAMES.map((name) => {
    const listener = (payload: unknown): void => {
      // As far as a curious listener can look: hidden fields, causes, and what stats() gives.
      const { stats } = payload as { stats?: () => object };
      const shown = inspect(payload, { depth: 10, showHidden: true, getters: true });
      seen.set(name, [...(seen.get(name) ?? []), shown, inspect(stats?.()), JSON.stringify(payload)]);
    };
    subscribe(CHANNEL_PREFIX + name, listener);
    return [CHANNEL_PREFIX + name, listener] as const;
  });
  try {
    await using here = await site({ entra: { tokenLifetimeSeconds: 2 } });
    const { tenantId, clientId, clientSecret, url: authority } = here.entra;
    const authentication = { tenantId, clientId, clientSecret, authority };
    const pool = here.pool({
      authentication,
      pool: { max: 1, acquireTimeoutMillis: 10_000 },
    } as Partial<TokenPoolConfig>);
    await pool.use(() => {});
    // Renewal of an idle connection in its second half of life.
    await expect.poll(() => pool.stats.renewals, { timeout: 10_000 }).toBeGreaterThan(0);
    // A refused token: thrown away, and another login with the next one.
    pool.destroy(await pool.acquire());
    here.server.failLogins({
      number: 18456,
      state: 233,
      class: 14,
      message: 'Login failed. Token is expired.',
      count: 1,
    });
    await pool.use(() => {});
    // A caller that gives up.
    const hasty = here.pool({ authentication, pool: { max: 1, acquireTimeoutMillis: 50 } } as Partial<TokenPoolConfig>);
    here.server.pause();
    await expect(hasty.acquire()).rejects.toThrow();
    here.server.resume();
    // A secret that is wrong.
    const wrong = { ...authentication, clientSecret: 'wrong-secret-of-ours' };
    await expect(here.pool({ authentication: wrong } as Partial<TokenPoolConfig>).acquire()).rejects.toThrow();
    await pool.close();
    const all = [...seen.values()].flat().join('\n');
    expect(all).not.toMatch(/eyJ[\w-]{8,}/);
    expect(all).not.toContain(clientSecret);
    expect(all).not.toContain('wrong-secret-of-ours');
  } finally {
    for (const [name, listener] of listeners) unsubscribe(name, listener);
  }
  expect(CHANNEL_NAMES.filter((name) => !seen.has(name) && !ELSEWHERE.includes(name))).toEqual([]);
});

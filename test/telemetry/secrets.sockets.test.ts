import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { expect, test, vi } from 'vitest';
import { CHANNEL_NAMES, CHANNEL_PREFIX, type ChannelName } from '../../src/channels.js';
import type { TokenPoolConfig } from '../../src/connections/config.js';
import { transaction } from '../../src/pool/transaction.js';
import { encryptedTokenStore } from '../../src/tokens/encrypted-token-store.js';
import { site } from '../support/pool.js';
import { query } from '../support/query.js';
import { unusedPort } from '../support/unused-port.js';
import { MemoryStore } from '../tokens/memory-store.js';

const STORE_KEY = '0123456789abcdef'.repeat(4);

/** Looks like a token; a store whose errors quote what they were given shows it. */
const QUOTED = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzZWNyZXQifQ.c2lnbmF0dXJlLXNlY3JldA';

class StoreThatQuotes extends MemoryStore {
  override set(name: string, value: string, ttlMs: number): Promise<void> {
    if (this.fault === 'none') return super.set(name, value, ttlMs);
    return Promise.reject(new Error(`SET ${name} ${value} EX ${ttlMs} password=Hunter2Hunter2 ${QUOTED}`));
  }

  override get(name: string): ReturnType<MemoryStore['get']> {
    if (this.fault === 'none') return super.get(name);
    return Promise.reject(new Error(`AUTH password=Hunter2Hunter2 ${QUOTED}`));
  }
}

/** Fields of the payloads that were seen. */
const fields = new Map<ChannelName, Set<string>>();

test('no payload of any channel carries a token or a secret, whatever goes wrong (P10)', async () => {
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  const seen = new Map<ChannelName, string[]>();
  const listeners = CHANNEL_NAMES.map((name) => {
    const listener = (payload: unknown): void => {
      // As far as a curious listener can look: hidden fields, causes, and what stats() gives.
      fields.set(name, new Set([...(fields.get(name) ?? []), ...Object.keys(payload as object)]));
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
    const store = new StoreThatQuotes();
    store.fault = 'reject';
    const pool = here.pool({
      authentication,
      tokenStore: encryptedTokenStore(store, { keys: STORE_KEY }),
      pool: { max: 1, acquireTimeoutMillis: 10_000 },
    } as Partial<TokenPoolConfig>);
    await pool.use(() => {});
    store.fault = 'none';
    // Renewal of an idle connection in its second half of life.
    await expect.poll(() => pool.stats.renewals, { timeout: 10_000 }).toBeGreaterThan(0);
    // A refused token is discarded, and the login is repeated with the next one.
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
    // A transaction that runs again; its error quotes a token.
    let runs = 0;
    const deadlock = Object.assign(new Error(`deadlock ${QUOTED}`), { number: 1205 });
    await transaction(pool, () => {
      runs += 1;
      if (runs === 1) throw deadlock;
    });
    // Sessions that are reset between borrowers.
    const resetting = here.pool({
      authentication,
      pool: { max: 1, resetSession: 'always' },
    } as Partial<TokenPoolConfig>);
    for (let i = 0; i < 2; i += 1) await resetting.use((connection) => query(connection, 'SELECT 1'));
    // A connection that is borrowed for too long, and a pool that is operated.
    const held = here.pool({ authentication, pool: { leakDetectionMillis: 20 } } as Partial<TokenPoolConfig>);
    const leaked = await held.acquire();
    await expect.poll(() => held.stats.leaks, { timeout: 10_000 }).toBe(1);
    held.release(leaked);
    held.evictAll({ reason: `password=Hunter2Hunter2 ${QUOTED}` });
    held.suspend();
    held.resume();
    await held.replaceCredential({ ...authentication, clientSecret: () => clientSecret } as never);
    // Connections that break together, a keepalive, and a replica that is unreachable.
    const pair = here.pool({ authentication, pool: { max: 2 } } as Partial<TokenPoolConfig>);
    const both = await Promise.all([pair.acquire(), pair.acquire()]);
    for (const connection of both) pair.release(connection);
    here.server.dropConnections();
    const kept = here.pool({ authentication, pool: { max: 1, keepaliveMillis: 50 } } as Partial<TokenPoolConfig>);
    await kept.use(() => {});
    const replica = { server: `localhost,${await unusedPort()}`, fallback: true };
    const fallingBack = here.pool({ authentication, readOnly: replica } as Partial<TokenPoolConfig>);
    await fallingBack.readOnly.use(() => {});
    await expect
      .poll(() => seen.has('pool:failover') && seen.has('connection:keepalive'), { timeout: 10_000 })
      .toBe(true);
    // A secret that is wrong.
    const wrong = { ...authentication, clientSecret: 'wrong-secret-of-ours' };
    await expect(here.pool({ authentication: wrong } as Partial<TokenPoolConfig>).acquire()).rejects.toThrow();
    await pool.close();
    const all = [...[...seen.values()].flat(), ...warned.mock.calls.map(String)].join('\n');
    // How the emulator's tokens and the quoted one begin, so that one that was cut is found too. Three letters alone are in
    // one ciphertext of a hundred.
    expect(all).not.toMatch(/eyJ0eXAi|eyJhbGci/);
    expect(all).not.toContain(clientSecret);
    expect(all).not.toContain('wrong-secret-of-ours');
    expect(all).not.toContain('Hunter2');
    expect(all).not.toContain(STORE_KEY);
  } finally {
    for (const [name, listener] of listeners) unsubscribe(name, listener);
    warned.mockRestore();
  }
  expect(CHANNEL_NAMES.filter((name) => !seen.has(name))).toEqual([]);
});

test('the page about telemetry names every field of every payload, and no other', () => {
  const page = readFileSync(new URL('../../docs/telemetry.md', import.meta.url), 'utf8');
  for (const [name, seen] of fields) {
    const row = page.split('\n').find((line) => line.startsWith(`| \`${name}\``)) ?? '';
    const documented = [...(row.split('|')[2] ?? '').matchAll(/`(\w+)/g)].map((match) => match[1]);
    expect(documented.sort(), name).toEqual([...seen].sort());
  }
});

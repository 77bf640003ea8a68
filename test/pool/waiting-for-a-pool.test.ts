import { expect, test } from 'vitest';
import { createTokenPools, type TokenPools, type TokenPoolsConfig } from '../../src/index.js';
import { type EntraEmulator, startEntraEmulator, startSqlEmulator } from '../../src/testing/index.js';

interface Api extends AsyncDisposable {
  entra: EntraEmulator;
  pools: TokenPools;
  /** What a call of a new user brings along. */
  user(): { userAssertion: string };
}

async function api(config: Partial<TokenPoolsConfig>): Promise<Api> {
  const entra = await startEntraEmulator();
  const server = await startSqlEmulator({ entra });
  const { authentication: _, ...reach } = server.config();
  const { tenantId, clientId, clientSecret } = entra;
  const authentication = { tenantId, clientId, clientSecret, authority: entra.url };
  const pools = createTokenPools({ ...(reach as TokenPoolsConfig), authentication, ...config });
  return {
    entra,
    pools,
    user: () => ({ userAssertion: entra.issueToken({ principal: entra.addUser(), audience: `api://${clientId}` }) }),
    async [Symbol.asyncDispose]() {
      await pools.close({ timeoutMs: 0 });
      await server.close();
      await entra.close();
    },
  };
}

test('all calls of one user that wait for his pool go on when it is opened', async () => {
  await using a = await api({ maxPools: 1 });
  const [ada, bob] = [a.pools.for(a.user()), a.pools.for(a.user())];
  const adas = await ada.acquire();
  const bobs = [bob.acquire(), bob.acquire(), bob.acquire()];
  await expect.poll(() => a.pools.stats.pending).toBe(3);
  ada.release(adas);
  // None of them is returned before all are there.
  const connections = await Promise.all(bobs);
  expect(new Set(connections).size).toBe(3);
  for (const connection of connections) bob.release(connection);
});

test('the turn of a caller who aborts as it comes goes to the next', async () => {
  await using a = await api({ maxPools: 1 });
  const [ada, bob, eve] = [a.pools.for(a.user()), a.pools.for(a.user()), a.pools.for(a.user())];
  const adas = await ada.acquire();
  const controller = new AbortController();
  const bobs = bob.acquire({ signal: controller.signal });
  await expect.poll(() => a.pools.stats.pending).toBe(1);
  const eves = eve.acquire();
  await expect.poll(() => a.pools.stats.pending).toBe(2);
  ada.release(adas);
  controller.abort();
  await expect(bobs).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  eve.release(await eves);
});

test('nobody waits for the proof of an assertion longer than he is willing to', async () => {
  await using a = await api({ pool: { acquireTimeoutMillis: 300 } });
  a.entra.fail({ hang: true });
  const controller = new AbortController();
  const aborted = a.pools.for(a.user()).acquire({ signal: controller.signal });
  const late = a.pools.for(a.user()).acquire();
  controller.abort();
  await expect(aborted).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  await expect(late).rejects.toThrow(/^No token within/);
});

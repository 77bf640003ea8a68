import { expect, test } from 'vitest';
import { type Api, api } from '../support/user-api.js';

function userOf({ entra, callOf }: Api): { userAssertion: string } {
  return { userAssertion: callOf(entra.addUser()) };
}

test("all calls of a user that wait for the user's pool continue once it is open", async () => {
  await using a = await api({ maxPools: 1 });
  const [ada, bob] = [a.pools.for(userOf(a)), a.pools.for(userOf(a))];
  const adas = await ada.acquire();
  const bobs = [bob.acquire(), bob.acquire(), bob.acquire()];
  await expect.poll(() => a.pools.stats.pending).toBe(3);
  ada.release(adas);
  // None of them is returned before all are there.
  const connections = await Promise.all(bobs);
  expect(new Set(connections).size).toBe(3);
  for (const connection of connections) bob.release(connection);
});

test('the turn of a caller that aborts as its turn comes goes to the next', async () => {
  await using a = await api({ maxPools: 1 });
  const [ada, bob, eve] = [a.pools.for(userOf(a)), a.pools.for(userOf(a)), a.pools.for(userOf(a))];
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

test('a caller does not wait for the check of an assertion beyond its own timeout', async () => {
  await using a = await api({ pool: { acquireTimeoutMillis: 300 } });
  a.entra.fail({ hang: true });
  const controller = new AbortController();
  const aborted = a.pools.for(userOf(a)).acquire({ signal: controller.signal });
  const late = a.pools.for(userOf(a)).acquire();
  controller.abort();
  await expect(aborted).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  await expect(late).rejects.toThrow(/^No token within/);
});

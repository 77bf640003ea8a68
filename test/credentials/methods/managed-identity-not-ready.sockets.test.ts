import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createCredential, TokenCache, type TokenPoolError } from '../../../src/index.js';
import { type EntraEmulator, type Fault, startEntraEmulator } from '../../../src/testing/index.js';
import { clockPerTest } from '../../support/clock-per-test.js';

// Sockets are real; the test ends every wait.
const clock = clockPerTest('now', { immediates: false });
const SCOPE = 'https://database.windows.net/.default';
let entra: EntraEmulator;
/** Exchanges that the client has read completely. */
let exchanges: number;
let over: boolean;
const onFinish = () => {
  exchanges += 1;
};

beforeAll(async () => {
  entra = await startEntraEmulator({ tokenLifetimeSeconds: 86_400 });
});
beforeEach(() => {
  exchanges = 0;
  over = false;
  subscribe('http.client.response.finish', onFinish);
  for (const [name, value] of Object.entries(entra.managedIdentity.imds.env)) vi.stubEnv(name, value);
});
afterEach(() => {
  over = true;
  unsubscribe('http.client.response.finish', onFinish);
  vi.unstubAllEnvs();
  entra.heal();
});
afterAll(() => entra.close());

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function untilExchanges(count: number): Promise<void> {
  while (exchanges < count && !over) await turn();
  // The work after the answer takes only a few microtasks.
  await turn();
  await turn();
}

/** Gets a token, with the clock running from one request to the next. Returns the outcome and the request times, s. */
async function follow(
  taking: Promise<unknown>,
  seconds: readonly number[],
): Promise<{ outcome: unknown; askedAt: number[] }> {
  const start = Date.now();
  const before = entra.requests.length;
  let outcome: unknown;
  void taking.then(
    (token) => {
      outcome = token;
    },
    (error: unknown) => {
      outcome = error;
    },
  );
  await untilExchanges(1);
  for (const [i, second] of seconds.entries()) {
    await clock.pass(start + second * 1000 - 1 - Date.now());
    await turn();
    expect(entra.requests.length - before).toBe(i + 1);
    await clock.pass(1);
    await untilExchanges(i + 2);
  }
  const askedAt = entra.requests.slice(before).map(({ time }) => (time - start) / 1000);
  return { outcome, askedAt };
}

const cold = (options: object = {}) => new TokenCache(createCredential({ method: 'managed-identity', ...options }));

describe('a machine that has just started and answers', () => {
  test.each<[fault: Fault, seconds: number[], code: string]>([
    [{ status: 404 }, [5, 15], 'ERR_TOKEN_UNAVAILABLE'],
    [{ status: 500 }, [5, 15], 'ERR_TOKEN_UNAVAILABLE'],
    [{ status: 503, body: '<html>' }, [5, 15], 'ERR_TOKEN_UNAVAILABLE'],
    [{ status: 503, retryAfter: 12 }, [12], 'ERR_TOKEN_UNAVAILABLE'],
    [{ status: 429 }, [5, 15], 'ERR_TOKEN_THROTTLED'],
    [{ status: 429, retryAfter: 7 }, [7], 'ERR_TOKEN_THROTTLED'],
    [{ status: 429, retryAfter: 16 }, [], 'ERR_TOKEN_THROTTLED'],
    [{ status: 410 }, [5, 15, 35, 75], 'ERR_TOKEN_UNAVAILABLE'],
  ])('%o is retried after %o s, then reported', async (fault, seconds, code) => {
    entra.fail(fault);
    const { outcome, askedAt } = await follow(cold().get(), seconds);
    expect(askedAt).toEqual([0, ...seconds]);
    expect(outcome).toMatchObject({ code, status: fault.status });
    expect((outcome as TokenPoolError).retryAfterMs).toBeGreaterThanOrEqual(5_000);
  });

  test('a 410 that lasts 70 s does not fail a caller that waits long enough', async () => {
    entra.fail({ status: 410, count: 4 });
    const tokens = cold();
    const callers = Promise.all(Array.from({ length: 100 }, () => tokens.get()));
    const { outcome } = await follow(callers, [5, 15, 35, 75]);
    expect(outcome).toHaveLength(100);
  });

  test('is retried as long as retryTimeoutMs allows, at most a minute apart', async () => {
    entra.fail({ status: 410 });
    const seconds = [5, 15, 35, 75, 135, 195];
    const { askedAt } = await follow(cold({ retryTimeoutMs: 200_000 }).get(), seconds);
    expect(askedAt).toEqual([0, ...seconds]);
  });

  test("is retried as long as AzureServiceTokenProvider's MsiRetryTimeout allows; 0 means the default", async () => {
    entra.fail({ status: 500 });
    const { askedAt } = await follow(new TokenCache(createCredential('RunAs=App;MsiRetryTimeout=6')).get(), [5]);
    expect(askedAt).toEqual([0, 5]);
    exchanges = 0;
    const usual = await follow(new TokenCache(createCredential('RunAs=App;MsiRetryTimeout=0')).get(), [5, 15]);
    expect(usual.askedAt).toEqual([0, 5, 15]);
  });
});

test('is not retried after a refusal, or without an answer', async () => {
  const clientId = '11111111-2222-4333-8444-555555555555';
  await expect(cold({ clientId }).get()).rejects.toMatchObject({ code: 'ERR_CREDENTIAL_REJECTED' });
  entra.fail({ reset: true });
  await expect(cold().get()).rejects.toMatchObject({ code: 'ERR_TOKEN_UNAVAILABLE' });
});

test('a caller waiting for a retry does not count towards the five concurrent requests', async () => {
  entra.fail({ status: 404 });
  const many = Array.from({ length: 12 }, () => cold({ clientId: entra.addManagedIdentity().clientId }).get());
  const all = Promise.allSettled(many);
  await untilExchanges(12);
  await clock.pass(5_000);
  await untilExchanges(24);
  await clock.pass(10_000);
  await untilExchanges(36);
  expect((await all).every(({ status }) => status === 'rejected')).toBe(true);
});

test('after the first token, retries are left to the token cache', async () => {
  const credential = createCredential({ method: 'managed-identity' });
  await credential.getToken(SCOPE);
  entra.fail({ status: 410 });
  await expect(credential.getToken(SCOPE)).rejects.toMatchObject({ status: 410 });
});

test('a caller can give up while the platform is not ready', async () => {
  entra.fail({ status: 404 });
  const abort = new AbortController();
  const waiting = createCredential({ method: 'managed-identity' }).getToken(SCOPE, { abortSignal: abort.signal });
  const refused = expect(waiting).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  await untilExchanges(1);
  abort.abort();
  await refused;
  expect(clock.pending.size).toBe(0);
});

test.each([-1, Number.NaN, Number.POSITIVE_INFINITY, 'soon' as never])(
  'retryTimeoutMs: %s is rejected',
  (retryTimeoutMs) => {
    expect(() => cold({ retryTimeoutMs })).toThrow(/'retryTimeoutMs' must be/);
  },
);

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { TokenCache } from '../../src/index.js';
import { clockPerTest } from '../support/clock-per-test.js';
import { FakeProvider } from './fake-provider.js';

const clock = clockPerTest();

const REQUEST_TIMEOUT_MS = 9_999;

let timers: NodeJS.Timeout[];
let tokens: TokenCache;

beforeEach(() => {
  timers = [];
  const fake = globalThis.setTimeout;
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(((work: () => void, ms?: number) => {
    const timer = fake(work, ms);
    if (ms === REQUEST_TIMEOUT_MS) timers.push(timer);
    return timer;
  }) as typeof setTimeout);
  const provider = new FakeProvider();
  provider.sticky = 'hang';
  tokens = new TokenCache(provider, { requestTimeoutMs: REQUEST_TIMEOUT_MS });
});
afterEach(() => {
  vi.restoreAllMocks();
});

function processStaysAlive(): boolean {
  expect(timers).toHaveLength(1);
  return timers[0]?.hasRef() === true;
}

function giveUp(afterMs: number): void {
  tokens.get(undefined, { timeoutMs: afterMs }).catch(() => {});
}

test('a background request does not keep the process alive', () => {
  tokens.current();
  expect(processStaysAlive()).toBe(false);
});

test('a request keeps the process alive while callers wait for it', async () => {
  tokens.current();
  giveUp(100);
  giveUp(200);
  expect(processStaysAlive()).toBe(true);
  await clock.pass(100);
  expect(processStaysAlive()).toBe(true);
  await clock.pass(100);
  expect(processStaysAlive()).toBe(false);
  giveUp(100);
  expect(processStaysAlive()).toBe(true);
});

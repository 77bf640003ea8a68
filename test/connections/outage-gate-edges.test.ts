import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DialFailedError } from '../../src/connections/dial.js';
import type { LoginFailureKind } from '../../src/connections/login-failure.js';
import { OutageGate } from '../../src/connections/outage-gate.js';
import { ServerUnavailableError } from '../../src/errors.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] }));
afterEach(() => void vi.useRealTimers());

function fails(kind: LoginFailureKind): () => Promise<never> {
  return async () => {
    throw new DialFailedError({ kind, error: new ServerUnavailableError(kind) }, undefined);
  };
}

/** A gate whose server has asked for patience. */
async function shut(): Promise<OutageGate> {
  const gate = new OutageGate();
  await gate.run(fails('transient')).catch(() => undefined);
  return gate;
}

test('the probe goes out when the pause is over, not before', async () => {
  const gate = await shut();
  const attempt = vi.fn(async () => 'connected');
  const run = gate.run(attempt);
  await vi.advanceTimersByTimeAsync(4_999);
  expect([attempt.mock.calls.length, gate.pauseMs]).toEqual([0, 1]);
  await vi.advanceTimersByTimeAsync(1);
  expect([await run, gate.pauseMs]).toEqual(['connected', 0]);
});

test('a pause that is over is nothing to wait for, however long ago it ended', async () => {
  const gate = await shut();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(gate.pauseMs).toBe(0);
  expect(await gate.run(async () => 'connected')).toBe('connected');
  expect(vi.getTimerCount()).toBe(0);
});

test.each(['credential', new Error('not of a dial')])(
  '%s says nothing about the server: the pause stays',
  async (why) => {
    const gate = await shut();
    const attempt = async () => {
      if (why instanceof Error) throw why;
      return fails('credential')();
    };
    const run = gate.run(attempt).catch((error: Error) => error.message);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await run).toBe(why instanceof Error ? why.message : 'credential');
    // Still down: the next one is a probe, and its failure the second in a row.
    await gate.run(fails('transient')).catch(() => undefined);
    expect(gate.pauseMs).toBe(10_000);
  },
);

test('a failed probe is followed by another', async () => {
  const gate = await shut();
  for (const pause of [10_000, 20_000]) {
    const run = gate.run(fails('transient')).catch(() => undefined);
    await vi.runAllTimersAsync();
    await run;
    expect(gate.pauseMs).toBe(pause);
  }
});

test('nothing listens to the end of the pool once the pause is over', async () => {
  const controller = new AbortController();
  const gate = await shut();
  const run = gate.run(async () => 'connected', controller.signal);
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
  await vi.runAllTimersAsync();
  await run;
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
});

test('a pool that is closed already is not waited for, and no timer is left', async () => {
  const controller = new AbortController();
  const gate = await shut();
  const reason = new Error('closed');
  controller.abort(reason);
  await expect(gate.run(async () => 'connected', controller.signal)).rejects.toBe(reason);
  expect(vi.getTimerCount()).toBe(0);
});

test('after an answer of the server the next failure is the first again', async () => {
  const gate = await shut();
  const run = gate.run(fails('refused')).catch(() => undefined);
  await vi.runAllTimersAsync();
  await run;
  await gate.run(fails('transient')).catch(() => undefined);
  expect(gate.pauseMs).toBe(5_000);
});

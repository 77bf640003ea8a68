import { describe, expect, test } from 'vitest';
import type { OpenOptions } from '../../src/connections/dialer.js';
import { LoginPacing } from '../../src/pool/login-pacing.js';
import { notNeeded, PacedLogins } from '../../src/pool/paced-logins.js';

/** A dialer whose logins end when the test decides. */
function aDialer() {
  const dials: { options: OpenOptions; accept(): void; refuse(error: Error): void }[] = [];
  const open = (options: OpenOptions): Promise<object> =>
    new Promise((resolve, reject) => dials.push({ options, accept: () => resolve({}), refuse: reject }));
  return { dials, dialer: { open } as never };
}

/** What the logins of a pool pass to its dialer. */
type Given = { [Option in keyof OpenOptions]-?: NonNullable<OpenOptions[Option]> };

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const isNeeded = (): boolean => true;
const ignore = (): void => {};

describe('the logins of a pool', () => {
  test('count as running while they are in progress, and are over when the last one has ended', async () => {
    const { dials, dialer } = aDialer();
    const logins = new PacedLogins(dialer, 0);
    expect([logins.running, logins.isOver]).toEqual([0, true]);
    const sessions: object[] = [];
    const first = logins.run(isNeeded, (session) => sessions.push(session));
    const second = logins.run(isNeeded, ignore);
    await turn();
    expect([dials.length, logins.running, logins.isOver]).toEqual([2, 2, false]);
    dials[0]?.accept();
    await first;
    expect([sessions.length, logins.running, logins.isOver]).toEqual([1, 1, false]);
    dials[1]?.accept();
    await second;
    expect([logins.running, logins.isOver]).toEqual([0, true]);
  });

  test('are over after one that fails, or that is no longer needed', async () => {
    const { dials, dialer } = aDialer();
    const logins = new PacedLogins(dialer, 1);
    const failed = logins.run(isNeeded, ignore).catch((error: unknown) => error);
    const unneeded = logins.run(() => false, ignore).catch((error: unknown) => error);
    await turn();
    expect([dials.length, logins.running, logins.isOver]).toEqual([1, 1, false]);
    const refusal = new Error('refused');
    dials[0]?.refuse(refusal);
    expect([await failed, await unneeded, logins.running, logins.isOver]).toEqual([refusal, notNeeded, 0, true]);
  });

  test('wait for their turn only with a limit, and for that of many pools as well', async () => {
    for (const [logins, atOnce] of [
      [(dialer: never) => new PacedLogins(dialer, 0), 3],
      [(dialer: never) => new PacedLogins(dialer, 2), 2],
      [(dialer: never) => new PacedLogins(dialer, 0, new LoginPacing(1)), 1],
    ] as const) {
      const { dials, dialer } = aDialer();
      const runs = [1, 2, 3].map(
        (
          (paced) => () =>
            paced.run(isNeeded, ignore)
        )(logins(dialer)),
      );
      await turn();
      expect(dials.length).toBe(atOnce);
      for (let i = 0; i < 3; i += 1) {
        dials[i]?.accept();
        await turn();
      }
      await Promise.all(runs);
    }
  });

  test('are not running during a pause, nor while they wait for another turn', async () => {
    const { dials, dialer } = aDialer();
    const shared = new LoginPacing(1);
    const logins = new PacedLogins(dialer, 0, shared);
    const run = logins.run(isNeeded, ignore);
    await turn();
    const { signal, pauseAround, beforeAttempt } = (dials[0] as (typeof dials)[number]).options as Given;
    expect([logins.running, beforeAttempt(signal)]).toEqual([1, undefined]);

    let endPause = ignore;
    const paused = pauseAround(
      () =>
        new Promise<string>((resolve) => {
          endPause = () => resolve('over');
        }),
    );
    expect(logins.running).toBe(0);
    let endOther = ignore;
    const other = shared.run(
      () =>
        new Promise<void>((resolve) => {
          endOther = resolve;
        }),
    );
    endPause();
    expect([await paused, logins.running]).toEqual(['over', 1]);

    const attempt = beforeAttempt(signal);
    expect(logins.running).toBe(0);
    endOther();
    await Promise.all([other, attempt]);
    expect(logins.running).toBe(1);
    dials[0]?.accept();
    await run;
    expect([logins.running, logins.isOver]).toEqual([0, true]);
    // The turn was returned exactly once.
    await shared.run(async () => undefined);
  });
});

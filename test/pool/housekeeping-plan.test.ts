import { expect, test } from 'vitest';
import type { TokenOutlook } from '../../src/connections/expiry-policy.js';
import { SessionExpiry, type TokenTimes } from '../../src/connections/session-expiry.js';
import { type Instant, plan, renewalSlots, retryPauseMs, type Tended } from '../../src/pool/housekeeping.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

function token(id: string, startsAt = 0): TokenTimes {
  const times = {
    refreshOn: startsAt + 50 * MINUTE,
    evictAt: startsAt + 55 * MINUTE,
    loginBefore: startsAt + 59 * MINUTE,
  };
  const expiresOn = startsAt + HOUR;
  return { id, obtainedAt: startsAt, expiresOn, ...times, now: () => 0, remainingMs: () => expiresOn };
}

const [own, later] = [token('own'), token('later', 50 * MINUTE)];
const settings = { min: 0, max: 10, overlap: 1, maxRenewals: 2, idleTimeoutMillis: 10 * HOUR };
const noLater: TokenOutlook = { current: own, refreshingForMs: undefined, failing: false };
const withLater: TokenOutlook = { ...noLater, current: later };

/** Both clocks at once. The policy compares epoch ms, so the world begins in 1970. */
const at = (ms: number, over: Partial<Instant> = {}): Instant => ({
  wall: ms,
  monotonic: ms,
  size: 1,
  opening: 0,
  renewing: 0,
  standingBy: 0,
  free: 10,
  failing: false,
  pausedUntil: 0,
  ...over,
});

type Facts = Partial<Tended> & { name?: string; share?: number; expiry?: SessionExpiry };

function connection({ share = 0.5, ...over }: Facts = {}): Tended & { name?: string } {
  const expiry = new SessionExpiry({ token: own, openedAt: 0, openedAtMonotonic: 0 }, 0, () => share);
  const idle = { state: 'idle', session: { expiry }, reserved: false, standsBy: false, successor: undefined } as const;
  return { ...idle, lastUsedAt: 0, holdsProcess: false, missedRenewal: false, ...over };
}

/** Half-way between refresh and eviction margin. */
const DUE = 52.5 * MINUTE;
const used = { lastUsedAt: DUE - SECOND };
const standby = { free: 1, standingBy: 1 };
const missed = { lastUsedAt: 0, state: 'borrowed', missedRenewal: true };

test('nothing to do: the next look is when the refresh is due, in 30 s at most', () => {
  expect(plan([connection()], noLater, settings, at(0))).toEqual({
    evict: [],
    renew: [],
    dueOnReturn: [],
    unref: [],
    open: 0,
    nextAt: 30 * SECOND,
  });
  expect(plan([connection()], noLater, settings, at(50 * MINUTE - 10)).nextAt).toBe(50 * MINUTE);
});

test.each([
  ['closed after its idle time', 5 * MINUTE, 0, 1, ['idle']],
  ['not a moment sooner', 5 * MINUTE - 1, 0, 1, []],
  ['kept for min', HOUR / 2, 1, 1, []],
] as const)('an idle connection is %s', (_, now, min, size, reasons) => {
  const { evict } = plan(
    [connection()],
    noLater,
    { ...settings, min, idleTimeoutMillis: 5 * MINUTE },
    at(now, { size }),
  );
  expect(evict.map(({ reason }) => reason)).toEqual(reasons);
});

test('of several idle ones, as many stay as min asks for', () => {
  const three = [connection(), connection(), connection()];
  const { evict } = plan(three, noLater, { ...settings, min: 2, idleTimeoutMillis: MINUTE }, at(MINUTE, { size: 3 }));
  expect(evict).toHaveLength(1);
});

test('an idle connection holds the process for a second after its last use', () => {
  const held = connection({ holdsProcess: true });
  expect(plan([held], noLater, settings, at(999))).toMatchObject({ unref: [], nextAt: SECOND });
  expect(plan([held], noLater, settings, at(SECOND)).unref).toEqual([held]);
});

test.each([
  ['renewed when a later token is there', used, withLater, {}, {}, 'renew'],
  ['left alone while there is none', used, noLater, {}, {}, 'nothing'],
  ['closed if it was not used lately', { lastUsedAt: 0 }, withLater, {}, {}, 'token-expiry'],
  ['renewed for min although it was not used', { lastUsedAt: 0 }, withLater, { min: 1 }, {}, 'renew'],
  ['closed if none fits beside it', used, withLater, { overlap: 0, max: 1 }, {}, 'token-expiry'],
  ['left alone while other renewals take all slots', used, withLater, {}, { renewing: 2 }, 'nothing'],
  ['left alone while all permits are taken', used, withLater, {}, { free: 0 }, 'nothing'],
  ['left alone during a pause', used, withLater, {}, { pausedUntil: DUE + 1 }, 'nothing'],
  ['renewed as the one attempt after a failure', used, withLater, {}, { failing: true }, 'renew'],
  ['left alone while that attempt is in progress', used, withLater, {}, { failing: true, opening: 1 }, 'nothing'],
  ['left alone while it is checked', { ...used, reserved: true }, withLater, {}, {}, 'nothing'],
  ['left alone while its successor is opened', { ...used, successor: {} }, withLater, {}, {}, 'nothing'],
  ['marked for its return while it is borrowed', { ...used, state: 'borrowed' }, withLater, {}, {}, 'dueOnReturn'],
  ['renewed while it is borrowed if it missed that at its return', missed, withLater, {}, {}, 'renew'],
  ['marked again if it would still miss it', missed, withLater, {}, { free: 0 }, 'dueOnReturn'],
  ['marked again if the one free permit is a successor that stands by', missed, withLater, {}, standby, 'dueOnReturn'],
  ['left alone while it stands by for another', { reserved: true, standsBy: true }, withLater, {}, {}, 'nothing'],
  ['marked if none fits beside it', missed, withLater, { overlap: 0, max: 1 }, {}, 'dueOnReturn'],
] as const)('a connection that is due is %s', (_, facts, outlook, pool, now, expected) => {
  const one = connection(facts as Facts);
  const result = plan([one], outlook, { ...settings, ...pool }, at(DUE, now));
  const seen =
    result.renew.length > 0 ? 'renew' : result.dueOnReturn.length > 0 ? 'dueOnReturn' : result.evict[0]?.reason;
  expect(seen ?? 'nothing').toBe(expected);
});

test.each([
  ['closed, for no caller would be given it', { renewing: 2 }, ['token-expiry']],
  ['kept during a pause: there may be nothing better', { renewing: 2, pausedUntil: DUE * 2 }, []],
] as const)('past its margin, without a slot, it is %s', (_, now, reasons) => {
  const one = connection({ lastUsedAt: 55 * MINUTE });
  const { evict } = plan([one], withLater, settings, at(55 * MINUTE, now));
  expect(evict.map(({ reason }) => reason)).toEqual(reasons);
});

test('those that have been due longest are renewed first', () => {
  const at54 = { lastUsedAt: 54.8 * MINUTE };
  const all = [0.9, 0.1, 0.5].map((share) => connection({ share, name: `${share}`, ...at54 }));
  const { renew } = plan(
    all,
    { ...withLater, current: token('later', 40 * MINUTE) },
    settings,
    at(54.9 * MINUTE, { size: 3 }),
  );
  expect(renew.map(({ name }) => name)).toEqual(['0.1', '0.5']);
});

test.each([
  ['all that are missing', {}, 3],
  ['none during a pause', { pausedUntil: 1 }, 0],
  ['one after a failure', { failing: true }, 1],
  ['no more than there are permits', { free: 2 }, 2],
  ['what is being opened counts', { opening: 2 }, 1],
] as const)('min: %s', (_, now, expected) => {
  expect(plan([], noLater, { ...settings, min: 3 }, at(0, { size: 0, ...now })).open).toBe(expected);
});

test('a clock that jumps ahead counts; one that is set back lengthens no limit', () => {
  const one = connection({ lastUsedAt: 10 * MINUTE });
  const ahead = plan([one], withLater, settings, at(10 * MINUTE, { wall: DUE }));
  expect(ahead.renew).toEqual([one]);
  const recent = connection({ lastUsedAt: DUE });
  const back = plan([recent], withLater, settings, at(DUE, { wall: DUE - HOUR }));
  expect(back.renew).toEqual([recent]);
});

test('pauses in the background double from 1 s to 60 s', () => {
  expect([1, 2, 3, 6, 7, 50].map(retryPauseMs)).toEqual([1_000, 2_000, 4_000, 32_000, 60_000, 60_000]);
  expect(renewalSlots(at(0, { renewing: 1 }), 2)).toBe(1);
});

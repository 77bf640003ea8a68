/** One simulation of figures/fleet.mjs; prints the number of requests to the identity provider. */
import { DrivenClock } from '../../build/test/support/driven-clock.js';
import { check } from './check.mjs';

const { way, processes, hours } = JSON.parse(process.argv[2]);
const SCOPE = 'https://database.windows.net/.default';
const KEY = 'k'.repeat(43);
const LIFE_MS = 3_600_000;
/** The first seconds of the fleet: no process has a token, so every process requests one, with any cache. */
const START_S = 60;

const clock = new DrivenClock(Date.UTC(2026, 0, 1));
clock.install({ immediates: false });
const { encryptedTokenStore, TokenCache } = await import('mssql-token-pool');

/** Requests in each second. */
const perSecond = new Uint32Array(hours * 3_600 + 1);
const startedAt = clock.wall;
let issued = 0;

const store = memoryStore();
const fleet = Array.from({ length: processes }, { ours, shared, noJitter }[way]);
for (const ask of fleet) ask();
await clock.pass(5_000);
for (let second = 5; second < hours * 3_600; second += 1) {
  for (const ask of fleet) check(ask() > clock.wall, 'a process had no token that is still good');
  await clock.pass(1_000);
}

const afterStart = perSecond.subarray(START_S);
const peak = afterStart.reduce((most, count) => Math.max(most, count), 0);
const total = perSecond.reduce((sum, count) => sum + count, 0);
process.stdout.write(JSON.stringify({ peak, total }));

/** The identity provider. */
function issue() {
  perSecond[Math.floor((clock.wall - startedAt) / 1_000)] += 1;
  issued += 1;
  const token = `token.number.${issued}`;
  const expiresOnTimestamp = clock.wall + LIFE_MS;
  return new Promise((resolve) => setTimeout(resolve, 100 + 200 * Math.random(), { token, expiresOnTimestamp }));
}

/** A process of the fleet: returns the expiry of the token it would log in with, or 0. */
function ours() {
  const cache = new TokenCache({ getToken: issue });
  return () => cache.current(SCOPE)?.expiresOn ?? 0;
}

function shared() {
  const tokenStore = encryptedTokenStore(store, { keys: KEY }).named('fleet');
  const cache = new TokenCache({ getToken: issue }, { tokenStore });
  return () => cache.current(SCOPE)?.expiresOn ?? 0;
}

/** The store shared by the fleet, with a latency of one to three milliseconds. */
function memoryStore() {
  const values = new Map();
  const leases = new Map();
  const away = () => new Promise((resolve) => setTimeout(resolve, 1 + 2 * Math.random()));
  return {
    async get(name) {
      await away();
      const kept = values.get(name);
      return kept === undefined || kept.endsAt <= clock.wall
        ? undefined
        : { value: kept.value, ttlMs: kept.endsAt - clock.wall };
    },
    async set(name, value, ttlMs) {
      await away();
      values.set(name, { value, endsAt: clock.wall + ttlMs });
    },
    async lease(name, leaseMs) {
      await away();
      if ((leases.get(name)?.endsAt ?? 0) > clock.wall) return undefined;
      const mine = { endsAt: clock.wall + leaseMs };
      leases.set(name, mine);
      return async () => {
        await away();
        if (leases.get(name) === mine) leases.delete(name);
      };
    },
  };
}

function noJitter() {
  let expiresOn = 0;
  let asking = false;
  return () => {
    if (!asking && clock.wall > expiresOn - 300_000) {
      asking = true;
      void issue().then((answer) => {
        expiresOn = answer.expiresOnTimestamp;
        asking = false;
      });
    }
    return expiresOn;
  };
}

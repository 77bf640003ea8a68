import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { CHANNEL_PREFIX, type ChannelName, type ChannelPayloads } from '../../src/channels.js';
import { sessionOf } from '../../src/connections/session.js';
import { type Settings, settingsFrom } from '../../src/connections/settings.js';
import { TokenPoolError } from '../../src/errors.js';
import { openWithReplica } from '../../src/pool/create-token-pool.js';
import { auditTransitions } from '../../src/pool/pooled-connections.js';
import { TokenPool } from '../../src/pool/token-pool.js';
import { OnePrincipal } from '../../src/tokens/one-principal.js';
import { TokenCache } from '../../src/tokens/token-cache.js';
import { DrivenClock } from '../support/driven-clock.js';
import { Random } from '../support/random.js';
import type { Break } from './breaks.js';
import { type Features, featuresOf, idleLimitOf } from './features.js';
import {
  evictionMargin,
  IdentityProvider,
  type IssuedToken,
  loginBefore,
  PROVIDER_FAULTS,
} from './identity-provider.js';
import {
  type Client,
  FAILOVER_REFUSALS,
  SESSION_ENDS,
  Server,
  type ServerFault,
  type SimConnection,
} from './server.js';
import { type Violation, Watch } from './watch.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** A connection unused for longer may be closed instead of renewed. */
const IN_USE_MS = 30_000;
/** In calm weather all connections of a pool have been replaced by then. */
const HAND_OVER_MS = 2 * MINUTE;
/** After this time, a read-only error of a database counts again. */
const READ_ONLY_FORGOTTEN_MS = 2 * HOUR;
/** Housekeeping looks at least this often, ms. */
const LONGEST_LOOK_MS = 31_000;

/** The kinds of faults, and how often each occurs. */
export const FAULTS = {
  provider: 8,
  slowProvider: 2,
  server: 8,
  slowServer: 2,
  drop: 4,
  revoke: 2,
  midSession: 4,
  failover: 2,
  evictAll: 2,
  suspendPool: 1,
  replaceCredential: 2,
  replica: 2,
  jump: 2,
  suspend: 1,
  freeze: 2,
  close: 1,
};

export interface SimulationResult {
  seed: number;
  calm: boolean;
  poolHours: number;
  violation: Violation | undefined;
  lastEvents: string[];
  checkouts: number;
  failedCheckouts: number;
  logins: number;
  renewals: number;
  faults: number;
  checks: Watch['checks'];
}

export interface SimulationOptions {
  seed: number;
  hours: number;
  /** A deliberate fault in what the pool is made of, to show that the simulation would see it. */
  sabotage?: Break | undefined;
  /** Note every event the library publishes, for reading. */
  trace?: boolean | undefined;
  /**
   * No faults, and pools of many connections in constant use: few seeds of the stormy world renew enough connections in calm
   * weather to say anything about P11, every calm one does.
   */
  calm?: boolean | undefined;
}

/** A caller that waits in `acquire`. */
interface Waiter {
  id: number;
  startedAt: number;
  frozen: number;
  /** All connections were borrowed at some moment of the wait. */
  sawPoolExhausted: boolean;
  aborted: boolean;
  /** True if it must get a connection without any delay. */
  warm: boolean;
}

interface Use {
  connection: SimConnection;
  from: number;
  until: number;
}

/** One pool, with its server, identity provider and callers. */
interface Site extends Client {
  settings: Settings;
  pool: TokenPool;
  companion: Site | undefined;
  /** Of the replica: its callers may get connections of the primary. */
  fallback: boolean;
  /** Where callers go: the pool, or what stands before the replica's. */
  source: ConnectionSource;
  waiting: Set<Waiter>;
  closing: boolean;
  /** Mean ms between two callers; Infinity when all is quiet. */
  pace: number;
  /** Monotonic ms at which the second or later of several callers came at once. */
  latestCallAt: number;
  /** How many callers have come. */
  calls: number;
  /** Share of callers that hold their connection for long, lose it, and so on. */
  careless: number;
  holdMs: number;
  /** Renewals since the latest token was issued. `leastSpreadMs`: by the time that there was for it. */
  renewedFor: { token: string; renewals: { at: number; leastSpreadMs: number }[] } | undefined;
  /** The latest use of each open idle connection, by its number in the events, monotonic ms. */
  latestUse: Map<number, Use>;
  minutesBelowMin: number;
  /** Monotonic ms of the latest `evictAll()`. */
  evictedAt: number;
  /** The credential that the latest `replaceCredential()` is for. */
  replacing: IdentityProvider | undefined;
  /** Monotonic ms of the latest credential's hand-over. */
  replacedAt: number;
  /** Monotonic ms at which a session was first refused a change because it is read-only. */
  readOnlySince: number;
  /** Connections borrowed for longer than leak detection allows, reported as such. */
  leaks: Set<SimConnection>;
  suspended: boolean;
}

/** The part of a pool that callers use. */
type ConnectionSource = Pick<TokenPool, 'acquire' | 'release' | 'destroy'>;

/**
 * One seed's world: identity providers, a server, pools of the real code, callers, and faults. All that happens follows
 * from the seed.
 */
export class World {
  readonly clock: DrivenClock;
  readonly watch: Watch;
  readonly #options: SimulationOptions;
  readonly #random: Random;
  readonly #features: Features;
  /** For what came later: existing seeds keep producing the same weather. */
  readonly #later: Random;
  readonly #server: Server;
  readonly #sites: Site[] = [];
  #providers: IdentityProvider[] = [];
  /** Monotonic ms until which a failure can be blamed on a fault. */
  #troubledUntil = 0;
  #troubledBesidesFailoverUntil = 0;
  #failedOverAt = Number.NEGATIVE_INFINITY;
  /** How the latest failover refuses logins. */
  #failoverRefusal: ServerFault = '40613';
  #replicaTroubledUntil = 0;
  #activeFaults = 0;
  #result = { checkouts: 0, failedCheckouts: 0, faults: 0 };
  #closedStats = { logins: 0, renewals: 0 };
  #waiters = 0;
  #dialsAtOutage: Map<Site, { dials: number; calls: number }> | undefined;
  #outageSince = 0;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#later = new Random(options.seed ^ 0x1a7e);
    this.#features = { ...featuresOf(options.seed, options.calm === true), ...options.sabotage?.features };
    // Any instant will do, but not always the same one.
    this.clock = new DrivenClock(1_700_000_000_000 + Math.floor(this.#random.next() * 1e10));
    this.watch = new Watch(this.clock);
    this.#server = new Server(this.clock, this.#random, this.watch);
  }

  /** Runs the whole simulation. Synchronous; call it from a macrotask. */
  run(): SimulationResult {
    const { hours, seed, trace } = this.#options;
    this.clock.install({ random: this.#options.sabotage?.random ?? this.#random.next.bind(this.#random) });
    globalThis.setInterval = (): never => {
      throw new Error('The simulation has no intervals: no code of ours uses them.');
    };
    const onRejection = (reason: unknown): void =>
      this.watch.broken('P6', `unhandled rejection: ${reason instanceof Error ? reason.stack : String(reason)}`);
    process.on('unhandledRejection', onRejection);
    this.clock.onError = (error) =>
      this.watch.broken('P6', `uncaught: ${error instanceof Error ? error.stack : String(error)}`);
    const unlisten = this.#listen(trace === true);
    auditTransitions(true);
    this.clock.unheldTimersFire = this.#options.sabotage?.unheldTimersFire ?? true;
    try {
      // Everything happens inside an event, so that what it leads to happens at its time.
      this.clock.schedule(0, () => {
        this.#build();
        this.#everyMinute();
      });
      this.clock.runUntil(hours * HOUR, () => this.watch.violation !== undefined);
      if (this.watch.violation === undefined) {
        this.clock.schedule(0, () => this.#close());
        // Not opened again: half a minute is for looking at what close() leaves behind.
        this.clock.runUntil(this.clock.now + 29_000, () => this.watch.violation !== undefined);
        this.#afterClose();
      }
    } finally {
      auditTransitions(false);
      unlisten();
      process.off('unhandledRejection', onRejection);
      this.clock.uninstall();
    }
    return {
      seed,
      calm: this.#options.calm === true,
      poolHours: hours * this.#sites.length,
      violation: this.watch.violation,
      lastEvents: this.watch.lastEvents(60),
      ...this.#result,
      logins: this.#closedStats.logins + sum(this.#sites, (s) => s.pool.stats.logins),
      renewals: this.#closedStats.renewals + sum(this.#sites, (s) => s.pool.stats.renewals),
      checks: this.watch.checks,
    };
  }

  // ---- the scene ----

  #build(): void {
    const random = this.#random;
    const identities = random.chance(0.25) ? 2 : 1;
    const pools = random.chance(0.3) || identities === 2 ? 2 : 1;
    for (let i = 0; i < identities; i += 1) {
      const provider = new IdentityProvider(`app${i}`, this.clock, random, this.watch);
      provider.onFailure = (silentMs) => this.#troubled(silentMs);
      provider.latencyMs = random.pick([1, 50, 200, 800]);
      provider.lifeMs = random.pick([MINUTE, 5 * MINUTE, 10 * MINUTE, HOUR, HOUR, HOUR, HOUR, 24 * HOUR]);
      if (random.chance(0.3)) provider.refreshAfter = random.pick([0.5, 0.8]);
      if (random.chance(0.25)) {
        provider.renewsBeforeEndMs = provider.lifeMs * random.pick([0.05, 0.15, 0.3, 0.6]);
        // A provider that renews its token inside the login margin leaves no caller a usable one for a while.
        if (provider.renewsBeforeEndMs < Math.min(MINUTE, provider.lifeMs / 10) * 1.5)
          provider.renewsBeforeEndMs = Math.min(MINUTE, provider.lifeMs / 10) * 1.5;
      }
      if (this.#options.calm === true) {
        provider.renewsBeforeEndMs = undefined;
        provider.lifeMs = Math.min(provider.lifeMs, HOUR);
      }
      this.#providers.push(provider);
    }
    this.#server.connectMs = random.pick([1, 5, 50]);
    this.#server.loginMs = random.pick([5, 30, 100, 400]);
    this.#server.closeMs = random.pick([0, 0, 5, 300]);
    if (random.chance(0.2)) this.#server.redirects = 1;
    const caches = this.#providers.map((provider) => new TokenCache(provider.credential));
    for (let i = 0; i < pools; i += 1) {
      const provider = this.#providers[i % identities] as IdentityProvider;
      const site = this.#site(i, provider, caches[i % identities] as TokenCache);
      this.#sites.push(...(site.companion === undefined ? [site] : [site, site.companion]));
    }
    if (!random.chance(0.2) && this.#options.calm !== true) this.#nextFault();
    for (const site of this.#sites) this.#nextCaller(site);
  }

  #site(index: number, provider: IdentityProvider, tokens: TokenCache): Site {
    const random = this.#random;
    const max = random.pick([1, 2, 3, 5, 10, 20]);
    const min = random.chance(0.5) ? 0 : random.whole(0, max);
    const overlap = random.pick([0, 1, 1, 1, 2]);
    const settings = settingsFrom({
      server: `server${index}.database.windows.net`,
      authentication: provider.credential,
      strictExpiry: random.chance(0.15),
      validateConnection: random.chance(0.15) ? true : 'socket',
      pool: {
        max,
        min,
        overlap,
        maxRenewals: random.pick([1, 2, 2, 4]),
        acquireTimeoutMillis: random.pick([2_000, 30_000, 30_000, 60_000]),
        idleTimeoutMillis: random.pick([1_000, 30_000, 30_000, 600_000]),
        // Not drawn from the generator, so that existing seeds keep producing the same faults.
        resetSession: this.#options.seed % 3 === 0 ? 'always' : 'never',
        ...(random.chance(0.3) ? { maxAgeMillis: random.pick([0, 10 * MINUTE, 2 * HOUR]) } : {}),
        keepaliveMillis: this.#features.keepaliveMs,
        leakDetectionMillis: this.#features.leakDetectionMs,
        maxOpening: this.#features.maxOpening,
      },
    });
    if (settings.source !== undefined) settings.source.tokens = new OnePrincipal(tokens);
    if (this.#options.calm === true) {
      const calmMax = random.whole(12, 20);
      settings.pool = {
        ...settings.pool,
        max: calmMax,
        min: Math.min(min, calmMax),
        overlap: random.pick([1, 2]),
        idleTimeoutMillis: 600_000,
      };
    }
    const site = {
      name: `pool${index}`,
      principal: provider.principal,
      provider,
      bound: settings.pool.max + settings.pool.overlap,
      companion: undefined,
      isReplica: false,
      fallback: false,
      maxOpening: this.#features.maxOpening,
      idleLimitMs: idleLimitOf(this.#features),
      failedOverAt: Number.NEGATIVE_INFINITY,
      createTimeoutMs: settings.pool.createTimeoutMillis,
      physical: new Set(),
      dials: 0,
      borrowed: new Set(),
      mayCutBorrowed: false,
      settings,
      waiting: new Set(),
      closing: false,
      pace: 10_000,
      calls: 0,
      latestCallAt: -1,
      careless: random.chance(0.3) || this.#options.calm === true ? 0 : random.between(0, 0.1),
      holdMs: random.pick([5, 50, 500, 5_000]),
      renewedFor: undefined,
      latestUse: new Map(),
      minutesBelowMin: 0,
      evictedAt: -1,
      replacing: undefined,
      replacedAt: Number.NEGATIVE_INFINITY,
      readOnlySince: Number.NEGATIVE_INFINITY,
      leaks: new Set(),
      suspended: false,
    } as Omit<Site, 'pool' | 'source'> as Site;
    this.#options.sabotage?.settings?.(settings, this.#providers);
    if (this.#features.readOnly !== undefined) site.companion = this.#replicaOf(site, this.#features.readOnly);
    this.#open(site);
    return site;
  }

  /** The replica's pool has the settings of the primary's, and nothing else in common with it but its credential. */
  #replicaOf(site: Site, { fallback }: { fallback: boolean }): Site {
    const { configuration, pool } = site.settings;
    const settings: Settings = {
      ...site.settings,
      configuration: { ...configuration, options: { ...configuration.options, readOnlyIntent: true } },
      pool: { ...pool, min: 0 },
    };
    this.#options.sabotage?.replica?.(settings, site.provider);
    return {
      ...site,
      name: `${site.name}-replica`,
      companion: site,
      isReplica: true,
      fallback,
      physical: new Set(),
      borrowed: new Set(),
      settings,
      waiting: new Set(),
      latestUse: new Map(),
      leaks: new Set(),
    };
  }

  /** Opens the pool of a site, and that of its replica. */
  #open(site: Site): void {
    const { sabotage } = this.#options;
    const settingsOf = (each: Site): Settings => {
      const real = this.#server.tediousFor(each);
      return { ...each.settings, tedious: sabotage?.tedious?.(real, this.clock) ?? real };
    };
    const { companion } = site;
    if (companion === undefined) {
      site.pool = new TokenPool(settingsOf(site));
      site.source = site.pool;
    } else {
      const readOnly = { fallback: companion.fallback, ...sabotage?.readOnly };
      const { primary, replica } = openWithReplica(settingsOf(site), settingsOf(companion), readOnly);
      site.pool = primary;
      site.source = primary;
      companion.pool = replica;
      companion.source = primary.readOnly;
    }
    for (const each of together(site)) {
      each.failedOverAt = Number.NEGATIVE_INFINITY;
      each.readOnlySince = Number.NEGATIVE_INFINITY;
    }
    sabotage?.pool?.(site.pool);
  }

  // ---- callers ----

  #nextCaller(site: Site): void {
    const random = this.#random;
    const calm = this.#options.calm === true;
    if (calm) site.pace = 5_000;
    else if (random.chance(0.02)) {
      site.pace = random.pick([300, 2_000, 10_000, 10_000, 60_000, 60_000, 600_000]);
      site.holdMs = random.pick([5, 50, 500, 5_000]);
    }
    this.clock.schedule(random.around(site.pace), () => {
      const callers = random.chance(calm ? 0.5 : 0.02) ? random.whole(2, 30) : 1;
      for (let i = 0; i < callers; i += 1) this.#call(site);
      this.#nextCaller(site);
    });
  }

  #call(site: Site): void {
    if (site.closing) return;
    const { clock, watch } = this;
    const random = this.#random;
    const { source } = site;
    this.#waiters += 1;
    site.calls += 1;
    if (site.waiting.size > 0) site.latestCallAt = clock.now;
    const waiter: Waiter = {
      id: this.#waiters,
      startedAt: clock.now,
      frozen: clock.frozen,
      sawPoolExhausted: isExhausted(site),
      aborted: false,
      warm: this.#isWarm(site),
    };
    let signal: AbortSignal | undefined;
    if (random.chance(0.05)) {
      const controller = new AbortController();
      signal = controller.signal;
      clock.schedule(random.around(200), () => {
        waiter.aborted = true;
        controller.abort(new Error('caller gave up'));
      });
    }
    site.waiting.add(waiter);
    watch.note(`w${waiter.id}: ${site.name} acquire`);
    source.acquire({ signal }).then(
      (connection) => {
        site.waiting.delete(waiter);
        this.#result.checkouts += 1;
        this.#served(site, waiter, connection as unknown as SimConnection);
      },
      (error: unknown) => {
        site.waiting.delete(waiter);
        this.#result.failedCheckouts += 1;
        this.#turnedAway(site, waiter, error);
      },
    );
    this.#noteExhaustion(site);
  }

  #noteExhaustion(site: Site): void {
    if (isExhausted(site))
      for (const { waiting } of together(site)) for (const each of waiting) each.sawPoolExhausted = true;
  }

  /** Every connection is fine and one is free: nothing in the world can hold up a checkout (P3, P4). */
  #isWarm(site: Site): boolean {
    const { stats } = site.pool;
    if (site.waiting.size > 0 || stats.pending > 0) return false;
    // A keepalive takes a connection for as long as the server needs to answer; the others are there meanwhile.
    let asked = 0;
    for (const connection of site.physical) if (connection.isAsked) asked += 1;
    if (stats.available <= asked) return false;
    const { wall } = this.clock;
    const { maxAgeMillis } = site.settings.pool;
    for (const connection of site.physical) {
      const { token } = connection;
      if (!connection.ready || token === undefined || token.suspect) return false;
      if (wall >= token.expiresOn - evictionMargin(token)) return false;
      if (maxAgeMillis > 0 && this.clock.now - connection.openedAt > maxAgeMillis * 0.85) return false;
    }
    if (site.settings.pool.resetSession === 'always') return false;
    return site.settings.validateConnection !== true && this.#quietMs > 10 * MINUTE;
  }

  #served(site: Site, waiter: Waiter, connection: SimConnection): void {
    const { clock, watch } = this;
    watch.note(`w${waiter.id}: gets c${connection.id} after ${Math.round(clock.now - waiter.startedAt)} ms`);
    this.#checkWait(site, waiter);
    watch.check(
      'P3',
      !waiter.warm || clock.now === waiter.startedAt || site.latestCallAt === waiter.startedAt,
      () => `w${waiter.id} waited ${clock.now - waiter.startedAt} ms for a warm connection`,
    );
    watch.check('P8', !site.borrowed.has(connection), () => `c${connection.id} is borrowed twice`);
    // Of a replica whose callers the primary serves while it cannot.
    const owner = site.fallback && connection.client === site.companion ? site.companion : site;
    watch.check('P9', connection.client === owner, () => `c${connection.id} belongs to ${connection.client.name}`);
    watch.check('P6', connection.ready, () => `c${connection.id} is handed out in state ${connection.state.name}`);
    watch.check(
      'P6',
      connection.endedBy === undefined,
      () => `c${connection.id} is handed out after error ${connection.endedBy}`,
    );
    watch.check('P6', !site.closing, () => `c${connection.id} is handed out by a pool that is closed`);
    watch.check('P6', !site.suspended, () => `c${connection.id} is handed out by a pool that is suspended`);
    watch.check(
      'P9',
      connection.openedAt >= site.evictedAt,
      () => `c${connection.id} is handed out although it was opened before evictAll()`,
    );
    this.#checkToken(owner, connection, waiter);
    this.#checkFailover(owner, connection);
    owner.borrowed.add(connection);
    this.#noteExhaustion(owner);
    if (!connection.ready) this.watch.note(`c${connection.id}: its borrower finds it dead`);
    else if (site.settings.pool.resetSession === 'always') this.#useSession(site, connection);
    else if (connection.isSecondary && this.#later.chance(0.5)) this.#change(owner, connection);
    this.#hold(site, owner, connection);
  }

  /** A connection from before a failover is not handed out once its pool could see the failover. */
  #checkFailover(site: Site, connection: SimConnection): void {
    const { clock, watch } = this;
    const loggedInAt = connection.loggedInAt ?? 0;
    const knowsOfFailover = loggedInAt < site.failedOverAt;
    // Those that got one at the same moment have it already.
    const sinceReadOnly = clock.now - site.readOnlySince;
    const knowsOfSecondary = loggedInAt < site.readOnlySince && sinceReadOnly > 0 && sinceReadOnly < MINUTE;
    watch.check(
      'P6',
      !knowsOfFailover && !knowsOfSecondary,
      () =>
        `c${connection.id} is handed out after ${knowsOfFailover ? 'the others broke' : 'one was read-only'} in a failover`,
    );
    if (!connection.isDropped) {
      connection.usedAt = clock.now;
      return;
    }
    // Neither end can know before it sends something: that is what a keepalive is for.
    watch.check(
      'P6',
      connection.isLost || connection.usedAt < this.#server.resumedAt,
      () => `c${connection.id} is handed out, which was idle for ${clock.now - connection.usedAt} ms and is dead`,
    );
    // It fails with the first request of its borrower.
    connection.cut();
  }

  /** What a secondary refuses. From then on its pool knows, unless it has been misled by it lately. */
  #change(site: Site, connection: SimConnection): void {
    const { now } = this.clock;
    if (now - site.readOnlySince > READ_ONLY_FORGOTTEN_MS) site.readOnlySince = now;
    connection.makeRequest({ callback: () => {} }, 0x01, { sqlText: 'UPDATE stock SET amount -= 1' });
  }

  /** The first request of a borrower must find nothing of the one before. */
  #useSession(site: Site, connection: SimConnection): void {
    const sqlText = site.calls % 3 === 0 ? 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE' : 'SELECT 1';
    connection.makeRequest({ callback: () => {} }, 0x01, { sqlText });
    this.watch.check(
      'P9',
      connection.leftBehind === undefined,
      () => `c${connection.id} still holds what "${connection.leftBehind}" of another borrower has left`,
    );
    connection.leftBehind = sqlText;
  }

  /** P2, by what the harness knows of the provider. */
  #checkToken(site: Site, connection: SimConnection, waiter: Waiter): void {
    const { clock, watch } = this;
    const { token } = connection;
    if (token === undefined) return;
    const { provider } = site;
    watch.check(
      'P9',
      token.principal === site.principal,
      () => `c${connection.id} lives on a token of ${token.principal}`,
    );
    const sinceHandOver = clock.now - site.replacedAt;
    if (sinceHandOver > HAND_OVER_MS && this.#quietMs > sinceHandOver) {
      watch.check(
        'P9',
        token.credential === provider.number || clock.now < connection.sparedUntil,
        () => `c${connection.id} on ${token.name} is handed out, whose credential was replaced ${sinceHandOver} ms ago`,
      );
    }
    const margin = evictionMargin(token);
    const nearEnd = clock.wall >= token.expiresOn - margin;
    watch.check('P2', !nearEnd || !site.settings.strictExpiry, () => `strictExpiry: c${connection.id} is near its end`);
    if (!nearEnd) return;
    const { latest } = provider;
    const laterIsHere =
      latest !== undefined &&
      !latest.suspect &&
      latest.deliveredAt !== undefined &&
      latest.deliveredAt < clock.now - 100 &&
      latest.expiresOn - token.expiresOn > margin / 2 + 1 &&
      clock.wall < loginBefore(latest) - 1;
    watch.check(
      'P2',
      !laterIsHere,
      () =>
        `c${connection.id} on ${token.name} is ${clock.wall - token.expiresOn} ms from its end, ${latest?.name} is at hand`,
    );
    watch.check(
      'P2',
      !this.#answersAtOnce(provider) || clock.frozen !== waiter.frozen,
      () => `c${connection.id} on ${token.name} is near its end, and the next token was not waited for`,
    );
    const cachedIsAllThereIs = provider.renewsBeforeEndMs !== undefined;
    watch.check(
      'P2',
      // A connection that has just been opened may be the first for long: no caller has requested a token meanwhile.
      cachedIsAllThereIs || Math.min(this.#quietMs, clock.now - connection.openedAt) < 90_000 + provider.lifeMs / 4,
      () => `c${connection.id} on ${token.name} is near its end although the provider has been well for long`,
    );
  }

  /**
   * A checkout waits up to a second for the next token; this provider has been well for long, and gives it sooner. After a failure
   * a token that is still good is served at once (P4).
   */
  #answersAtOnce(provider: IdentityProvider): boolean {
    const { renewsBeforeEndMs, latencyMs, wellSince, silentUntil, latest } = provider;
    const isFast = renewsBeforeEndMs === undefined && 1.5 * latencyMs < 900 && !provider.isFailing;
    return isFast && this.clock.now - Math.max(wellSince, silentUntil) > 70_000 && latest?.suspect === false;
  }

  #hold(site: Site, owner: Site, connection: SimConnection): void {
    const random = this.#random;
    const fate = random.chance(site.careless)
      ? random.weighted({ forgets: 1, holdsLong: 6, destroys: 4, breaks: 3, twice: 3 })
      : 'returns';
    const ms =
      fate === 'forgets' ? 20 * HOUR : fate === 'holdsLong' ? random.around(40 * MINUTE) : random.around(site.holdMs);
    const { source } = site;
    const { pool } = owner;
    const from = this.clock.now;
    const { frozen } = this.clock;
    this.clock.schedule(ms, () => {
      this.#checkLeak(owner, connection, this.clock.now - from - (this.clock.frozen - frozen));
      owner.borrowed.delete(connection);
      if (from < owner.replacedAt) connection.sparedUntil = this.clock.now + HAND_OVER_MS;
      if (!pool.isBorrowed(connection as never)) return;
      if (connection.isDropped) connection.cut();
      else connection.usedAt = this.clock.now;
      const number = sessionOf(connection as never)?.id ?? 0;
      owner.latestUse.set(number, { connection, from, until: this.clock.now });
      this.watch.note(`c${connection.id}: returned (${fate})`);
      if (fate === 'destroys') source.destroy(connection as never);
      else {
        if (fate === 'breaks') connection.inTransaction = true;
        source.release(connection as never);
        if (fate === 'twice') {
          try {
            source.release(connection as never);
            this.watch.broken('P6', 'a connection could be returned twice');
          } catch {}
        }
      }
    });
  }

  /** A connection that is borrowed for long is reported, once. */
  #checkLeak(site: Site, connection: SimConnection, heldMs: number): void {
    const { leakDetectionMs } = this.#features;
    if (leakDetectionMs === 0 || site.closing || !site.pool.isBorrowed(connection as never)) return;
    this.watch.check(
      'P6',
      site.leaks.has(connection) || heldMs < leakDetectionMs + LONGEST_LOOK_MS,
      () => `c${connection.id} was borrowed for ${heldMs} ms and never reported`,
    );
    site.leaks.delete(connection);
  }

  #leaked({ pool, connection: number, borrowedMs }: ChannelPayloads['connection:leaked']): void {
    const site = this.#sites.find((each) => each.pool?.name === pool);
    if (site === undefined) return;
    const connection = [...site.borrowed].find((each) => sessionOf(each as never)?.id === number);
    this.watch.check(
      'P6',
      connection !== undefined && !site.leaks.has(connection) && borrowedMs > this.#features.leakDetectionMs - 1,
      () => `connection ${number} of ${site.name}, borrowed for ${borrowedMs} ms, is reported as a leak`,
    );
    if (connection !== undefined) site.leaks.add(connection);
  }

  #turnedAway(site: Site, waiter: Waiter, error: unknown): void {
    const { clock, watch } = this;
    const { name, message } = error as Error;
    watch.note(`w${waiter.id}: ${name} after ${Math.round(clock.now - waiter.startedAt)} ms: ${message}`);
    this.#checkWait(site, waiter);
    watch.check(
      'P6',
      error instanceof TokenPoolError,
      () => `w${waiter.id} got an untyped ${name}: ${(error as Error).stack}`,
    );
    const { code } = error as TokenPoolError;
    if (code === 'ERR_ABORTED' && waiter.aborted) return;
    watch.check('P6', code !== 'ERR_ABORTED', () => `w${waiter.id} did not abort`);
    if (site.closing) {
      watch.check('P6', code === 'ERR_POOL_CLOSED', () => `w${waiter.id} of a closed pool got ${name}: ${message}`);
      return;
    }
    watch.check('P6', code !== 'ERR_POOL_CLOSED', () => `w${waiter.id} was rejected because the pool is closed`);
    // A refusal for good has to be explained by a fault; a timeout by a fault or by a pool that was full.
    const { latest } = site.provider;
    const strictlyRefused =
      code === 'ERR_TOKEN_EXPIRED' &&
      site.settings.strictExpiry &&
      latest !== undefined &&
      clock.wall >= latest.expiresOn - evictionMargin(latest);
    const timeoutMs = site.settings.pool.acquireTimeoutMillis;
    // The test of a connection that is lost lasts until the network reports it.
    const testsLost = site.settings.validateConnection === true && [...site.physical].some((each) => each.isDropped);
    const mayTakeLonger = testsLost || (site.pool.stats.available === 0 && this.#slowestLoginMs(site) >= timeoutMs);
    const explained =
      this.#mayFail(site, waiter, timeoutMs) ||
      strictlyRefused ||
      (code === 'ERR_ACQUIRE_TIMEOUT' && (waiter.sawPoolExhausted || mayTakeLonger));
    watch.check('P6', explained, () => `w${waiter.id} failed without a cause: ${name}: ${message}`);
  }

  /**
   * A failover costs the requests in flight and the logins under way; a caller who comes afterwards and waits for as long as by
   * default is served.
   */
  #mayFail(site: Site, waiter: Waiter, timeoutMs: number): boolean {
    const hasNoTimeToSpare = timeoutMs < 30_000;
    // The primary serves the callers of a replica that is down, if it is asked to.
    if (site.isReplica && this.clock.now < this.#replicaTroubledUntil && (!site.fallback || hasNoTimeToSpare))
      return true;
    if (this.#quietMs >= 0) return false;
    const isFailoverAlone = this.#activeFaults === 0 && this.clock.now >= this.#troubledBesidesFailoverUntil;
    if (!isFailoverAlone || hasNoTimeToSpare || waiter.startedAt <= this.#failedOverAt) return true;
    // A pool that has lost one connection cannot recognize a failover by a refusal alone.
    return this.#failoverRefusal !== '40613' && site.failedOverAt < this.#failedOverAt;
  }

  /**
   * A token request and a login, nothing wrong with either: the distances are longer than some callers wait, and logins that
   * wait for their turn or for a connection of the companion to make way take longer.
   */
  #slowestLoginMs(site: Site): number {
    const { connectMs, loginMs, redirects } = this.#server;
    const { provider, maxOpening, companion, settings } = site;
    const turns = maxOpening > 0 ? Math.ceil(settings.pool.max / maxOpening) + 1 : 1;
    const makesWayMs = companion === undefined ? 0 : 100 * settings.pool.max + 300;
    return 1.5 * (provider.latencyMs + turns * (connectMs + loginMs * (redirects > 0 ? 2 : 1)) + makesWayMs);
  }

  #checkWait(site: Site, waiter: Waiter): void {
    const { clock } = this;
    const waited = clock.now - waiter.startedAt - (clock.frozen - waiter.frozen);
    const { acquireTimeoutMillis } = site.settings.pool;
    this.watch.check(
      'P6',
      waited <= acquireTimeoutMillis + 2,
      () => `w${waiter.id} waited ${waited} ms, timeout is ${acquireTimeoutMillis}`,
    );
  }

  /** How long nothing has been wrong that could still be felt, ms; negative while it can. */
  get #quietMs(): number {
    return this.#activeFaults > 0 ? -1 : this.clock.now - this.#troubledUntil;
  }

  // ---- faults ----

  #nextFault(): void {
    this.clock.schedule(this.#random.around(25 * MINUTE), () => {
      this.#fault();
      this.#nextFault();
    });
  }

  #fault(): void {
    const random = this.#random;
    this.#result.faults += 1;
    const kind: keyof typeof FAULTS = this.#options.sabotage?.fault ?? random.weighted(FAULTS);
    const lasts = random.pick([random.around(2_000), random.around(MINUTE), random.around(20 * MINUTE)]);
    switch (kind) {
      case 'provider': {
        const provider = random.pick(this.#providers);
        if (provider.fault !== undefined) return;
        provider.fault = random.pick(PROVIDER_FAULTS);
        provider.wellSince = Number.POSITIVE_INFINITY;
        provider.retryAfterMs = random.chance(0.7) ? random.pick([1_000, 20_000, 90_000, 600_000]) : undefined;
        this.#lasting(`${provider.principal}: ${provider.fault}`, lasts, () => {
          provider.fault = undefined;
          provider.wellSince = this.clock.now;
          return Math.max(0, provider.silentUntil - this.clock.now);
        });
        return;
      }
      case 'slowProvider': {
        const provider = random.pick(this.#providers);
        const { latencyMs } = provider;
        if (latencyMs >= 2_000) return;
        provider.latencyMs = random.between(2_000, 20_000);
        provider.wellSince = Number.POSITIVE_INFINITY;
        this.#lasting(`${provider.principal}: slow`, lasts, () => {
          provider.latencyMs = latencyMs;
          if (provider.fault === undefined) provider.wellSince = this.clock.now;
          return Math.max(0, provider.silentUntil - this.clock.now);
        });
        return;
      }
      case 'server': {
        const server = this.#server;
        if (server.fault !== undefined) return;
        const fault = random.pick<ServerFault>([
          'refuses-tcp',
          'black-hole',
          'drops-before-login',
          'drops-after-login7',
          'drops-after-token',
          'half-login',
          'redirect-loop',
          '40613',
          '40501',
          'stale',
          'ambiguous',
          'anonymous',
          'configuration',
          'firewall',
        ]);
        server.fault = fault;
        server.faultShare = random.chance(0.7) ? 1 : random.between(0.1, 0.9);
        if (random.chance(0.5)) server.drop(1);
        const whole = server.faultShare === 1 && fault !== 'black-hole' && fault !== 'half-login';
        if (whole) this.#startOutage();
        this.#lasting(`server: ${fault} (${server.faultShare.toFixed(1)})`, lasts, () => {
          if (whole) this.#endOutage(fault);
          server.fault = undefined;
          return 0;
        });
        return;
      }
      case 'slowServer': {
        const server = this.#server;
        const { loginMs, closeMs } = server;
        if (loginMs > 1_000) return;
        server.loginMs = random.between(1_000, 12_000);
        server.closeMs = random.between(0, 3_000);
        this.#lasting('server: slow', lasts, () => {
          server.loginMs = loginMs;
          server.closeMs = closeMs;
          return 0;
        });
        return;
      }
      case 'drop':
        this.#at('server: drops connections');
        this.#server.drop(random.pick([1, 1, 0.3]));
        return;
      case 'revoke':
        // It is found out at the next login, however late that is.
        this.#at('tokens revoked', Math.max(...this.#providers.map(({ lifeMs }) => lifeMs)));
        for (const { tokens } of this.#providers)
          for (const token of tokens.values()) token.trueExpiry = Math.min(token.trueExpiry, this.clock.trueTime);
        for (const provider of this.#providers) provider.forgetCached();
        return;
      case 'midSession': {
        const end = random.pick(SESSION_ENDS);
        this.#at(`sessions end with ${end.number}`);
        if (end === SESSION_ENDS[0]) for (const provider of this.#providers) provider.forgetCached();
        this.#server.endSessions(random.pick([1, 0.5, 0.1]), end);
        return;
      }
      case 'jump': {
        const ms = random.pick([-1, 1]) * random.pick([2_000, MINUTE, 20 * MINUTE, 3 * HOUR]);
        this.clock.jump(ms);
        for (const provider of this.#providers) {
          provider.forgetCached();
          if (provider.latest !== undefined) provider.latest.suspect = true;
        }
        this.#at(`clock jumps by ${ms} ms`, 2 * Math.abs(ms));
        return;
      }
      case 'suspend': {
        const ms = random.pick([MINUTE, 20 * MINUTE, 3 * HOUR, 12 * HOUR, this.#untilNearEnd(), this.#untilNearEnd()]);
        this.clock.suspend(ms);
        this.#server.resumedAt = this.clock.now;
        if (random.chance(0.5)) this.#server.drop(1);
        this.#at(`suspended for ${ms} ms`);
        return;
      }
      case 'freeze': {
        const ms = random.pick([500, 20_000, 10 * MINUTE, 3 * HOUR]);
        this.clock.freeze(ms);
        this.#server.resumedAt = this.clock.now;
        this.#at(`frozen for ${ms} ms`);
        return;
      }
      case 'close':
        this.#closeAndReopen(random.pick(this.#sites));
        return;
      case 'evictAll':
        this.#evictAll(random.pick(this.#sites));
        return;
      case 'suspendPool':
        this.#suspendPool(random.pick(this.#sites), Math.min(lasts, 5 * MINUTE));
        return;
      case 'failover':
        this.#failover(random.pick([0, 500, 5_000, 8_000]));
        return;
      case 'replaceCredential':
        this.#replaceCredential(primaryOf(random.pick(this.#sites)));
        return;
      case 'replica':
        this.#replicaFails(lasts);
        return;
    }
  }

  /** How long until a token is well inside its eviction margin, ms. */
  #untilNearEnd(): number {
    const { latest } = this.#random.pick(this.#providers);
    if (latest === undefined) return MINUTE;
    return Math.max(
      MINUTE,
      latest.expiresOn - this.clock.wall - evictionMargin(latest) * this.#random.between(0.1, 0.9),
    );
  }

  /** Costs no caller anything but the time of a login. */
  #evictAll(picked: Site): void {
    const site = primaryOf(picked);
    // The new dials would count as those of a storm.
    if (site.closing || this.#dialsAtOutage !== undefined) return;
    const besides = this.#troubledBesidesFailoverUntil;
    this.#at(`${site.name} evicts all`);
    this.#troubledBesidesFailoverUntil = besides;
    for (const each of together(site)) each.evictedAt = this.clock.now;
    site.pool.evictAll();
  }

  /** Costs no caller anything: connections are replaced as in a renewal. */
  #replaceCredential(site: Site): void {
    if (site.closing) return;
    const next = site.provider.another();
    if (this.#later.chance(0.2)) next.fault = this.#later.pick(PROVIDER_FAULTS);
    site.replacing = next;
    this.watch.note(`--- ${site.name} goes on with credential ${next.number} (${next.fault ?? 'well'})`);
    let settled = false;
    site.pool.replaceCredential(next.credential as never, { timeoutMs: 30_000 }).then(
      () => {
        settled = true;
        if (site.replacing === next) site.replacing = undefined;
      },
      (error: unknown) => {
        settled = true;
        if (site.replacing === next) site.replacing = undefined;
        this.watch.check(
          'P6',
          error instanceof TokenPoolError && (next.fault !== undefined || this.#quietMs < 0 || site.closing),
          () => `replaceCredential() of ${site.name} failed: ${(error as Error)?.stack}`,
        );
      },
    );
    const { frozen } = this.clock;
    this.clock.schedule(31_000, () =>
      this.watch.check('P6', settled || this.clock.frozen > frozen, () => `replaceCredential() of ${site.name} hangs`),
    );
  }

  #credentialReplaced({ pool }: ChannelPayloads['pool:credential-replaced']): void {
    const site = this.#sites.find((each) => each.pool?.name === pool);
    if (site?.replacing === undefined) return;
    this.watch.note(`--- ${site.name} has credential ${site.replacing.number}`);
    for (const each of together(site)) {
      each.provider = site.replacing;
      each.replacedAt = this.clock.now;
    }
    const used = new Set(this.#sites.map(({ provider }) => provider));
    this.#providers = [...this.#providers.filter((provider) => used.has(provider)), site.replacing];
    site.replacing = undefined;
  }

  /** Only the replica has problems. */
  #replicaFails(ms: number): void {
    const server = this.#server;
    if (this.#features.readOnly === undefined || server.replicaFault !== undefined) return;
    const fault = this.#later.pick<ServerFault>(['refuses-tcp', 'drops-before-login', '40613', 'firewall', 'not-open']);
    server.replicaFault = fault;
    for (const { isReplica, physical } of this.#sites) if (isReplica) for (const each of [...physical]) each.cut();
    const slowest = Math.max(...this.#sites.map((site) => site.settings.pool.acquireTimeoutMillis));
    this.#replicaTroubledUntil = this.clock.now + ms + 66_000 + 2 * server.connectTimeoutMs + slowest;
    this.watch.note(`--- replica: ${fault} for ${Math.round(ms)} ms`);
    this.clock.schedule(ms, () => {
      this.watch.note(`--- over: replica: ${fault}`);
      server.replicaFault = undefined;
    });
  }

  #suspendPool(picked: Site, ms: number): void {
    const site = primaryOf(picked);
    if (site.closing || site.suspended) return;
    const { pool } = site;
    for (const each of together(site)) each.suspended = true;
    pool.suspend();
    this.#lasting(`${site.name} is suspended`, ms, () => {
      if (site.pool === pool) for (const each of together(site)) each.suspended = false;
      pool.resume();
      return 0;
    });
  }

  /** Sessions break or become useless at once, logins are refused for a while, and then another server accepts them. */
  #failover(ms: number): void {
    const server = this.#server;
    if (server.fault !== undefined) return;
    const besides = this.#troubledBesidesFailoverUntil;
    const kind = this.#later.pick(['cut', 'cut', 'half', 'read-only'] as const);
    const refusal = this.#later.pick(FAILOVER_REFUSALS);
    server.fault = refusal;
    server.faultShare = 1;
    server.failOver(kind);
    this.#failedOverAt = this.clock.now;
    this.#failoverRefusal = refusal;
    this.#at(`failover (${kind}, ${refusal}) for ${ms} ms`, ms);
    this.#troubledBesidesFailoverUntil = besides;
    this.clock.schedule(ms, () => {
      server.fault = undefined;
    });
  }

  #at(what: string, aftermathMs = 0): void {
    this.watch.note(`--- ${what}`);
    this.#troubled(aftermathMs);
  }

  #lasting(what: string, ms: number, end: () => number): void {
    this.watch.note(`--- ${what} for ${Math.round(ms)} ms`);
    this.#activeFaults += 1;
    this.clock.schedule(ms, () => {
      this.watch.note(`--- over: ${what}`);
      this.#activeFaults -= 1;
      this.#troubled(end());
    });
  }

  /** Back-off of at most 66 s, a login and its timeout, and the callers that have been waiting since then. */
  #troubled(aftermathMs: number): void {
    const slowest = Math.max(...this.#sites.map((site) => site.settings.pool.acquireTimeoutMillis));
    const until = this.clock.now + aftermathMs + 66_000 + 2 * this.#server.connectTimeoutMs + slowest;
    this.#troubledUntil = Math.max(this.#troubledUntil, until);
    this.#troubledBesidesFailoverUntil = Math.max(this.#troubledBesidesFailoverUntil, until);
  }

  // ---- healing without a storm ----

  #startOutage(): void {
    this.#outageSince = this.clock.now;
    this.#dialsAtOutage = new Map(this.#sites.map((site) => [site, { dials: site.dials, calls: site.calls }]));
  }

  #endOutage(fault: ServerFault): void {
    const lasted = this.clock.now - this.#outageSince;
    for (const [site, before] of this.#dialsAtOutage ?? []) {
      const dials = site.dials - before.dials;
      // A server that cannot be reached is asked by one caller at a time; one that refuses is asked by each, twice at most.
      const unreachable =
        fault === 'refuses-tcp' || fault === 'redirect-loop' || fault.startsWith('drops') || fault.startsWith('40');
      const allowed = 2 * site.bound + 10 + lasted / 4_000 + (unreachable ? 0 : 2 * (site.calls - before.calls));
      this.watch.check(
        'P6',
        dials <= allowed,
        () => `${site.name} dialled ${dials} times in an outage (${fault}) of ${Math.round(lasted)} ms`,
      );
    }
    this.#dialsAtOutage = undefined;
  }

  // ---- every minute ----

  #everyMinute(): void {
    const { clock, watch } = this;
    clock.schedule(MINUTE, () => this.#everyMinute());
    for (const site of this.#sites) {
      for (const waiter of site.waiting) this.#checkWait(site, waiter);
      this.#checkIdle(site);
      const { stats } = site.pool;
      // A connection under test counts as borrowed; each is tested for a caller that waits.
      const surplus = stats.borrowed - site.borrowed.size;
      watch.check(
        'P6',
        (surplus >= 0 && surplus <= stats.pending) || site.closing,
        () => `${site.name} counts ${stats.borrowed} borrowed, callers hold ${site.borrowed.size}`,
      );
      watch.check('P7', stats.size <= stats.max, () => `${site.name} has ${stats.size} of ${stats.max} connections`);
      site.minutesBelowMin = stats.size < stats.min && !site.closing ? site.minutesBelowMin + 1 : 0;
      watch.check(
        'P6',
        site.minutesBelowMin < 2 || this.#quietMs < 3 * MINUTE || isExhausted(site) || site.companion !== undefined,
        () => `${site.name} has ${stats.size} connections, min is ${stats.min}`,
      );
    }
    const idle =
      this.#sites.every(
        (site) => site.waiting.size === 0 && site.replacing === undefined && site.pool.stats.pending === 0,
      ) && this.#providers.every((provider) => provider.inFlight === 0);
    if (idle && [...this.#server.connections].every((connection) => connection.ready)) {
      for (const timer of clock.pending) {
        watch.check('P6', !timer.hasRef(), () => 'a timer keeps the idle process alive');
      }
    }
  }

  // ---- renewals are spread out ----

  #listen(trace: boolean): () => void {
    const handlers: [string, (message: unknown) => void][] = [];
    const on = <N extends ChannelName>(name: N, handler: (payload: ChannelPayloads[N]) => void): void => {
      const listener = (payload: unknown): void => handler(payload as ChannelPayloads[N]);
      handlers.push([CHANNEL_PREFIX + name, listener]);
      subscribe(CHANNEL_PREFIX + name, listener);
    };
    on('connection:renewed', (event) => this.#renewed(event));
    on('connection:evicted', (event) => this.#evicted(event));
    on('pool:credential-replaced', (event) => this.#credentialReplaced(event));
    if (this.#features.leakDetectionMs > 0) on('connection:leaked', (event) => this.#leaked(event));
    if (trace) {
      on('connection:evicted', (e) => this.watch.note(`    evicted ${e.connection}: ${e.reason}`));
      on('connection:login-failed', (e) => this.watch.note(`    login failed: ${e.kind}: ${e.error.message}`));
      on('token:failed', (e) => this.watch.note(`    token failed: ${e.error.message}`));
    }
    return () => {
      for (const [name, listener] of handlers) unsubscribe(name, listener);
    };
  }

  /** P11: of those connections that a new token replaces, most are not renewed within one moment. */
  #renewed({ pool, replaced }: ChannelPayloads['connection:renewed']): void {
    const site = this.#sites.find((each) => each.pool?.name === pool);
    const token = site?.provider.latest;
    if (site === undefined || token === undefined) return;
    if (site.renewedFor?.token !== token.text) site.renewedFor = { token: token.text, renewals: [] };
    const { renewals } = site.renewedFor;
    renewals.push({ at: this.clock.now, leastSpreadMs: this.#leastSpread(site, token, replaced) });
    const many = 8;
    const renewsBefore = site.provider.renewsBeforeEndMs ?? Number.POSITIVE_INFINITY;
    // A provider whose next token comes after the eviction margin has begun leaves no time to spread anything over.
    if (renewsBefore < 1.5 * evictionMargin(token)) return;
    // After a change of credentials, what is old is replaced as soon as it can be.
    if (this.clock.now - site.replacedAt < HAND_OVER_MS) return;
    if (renewals.length < many || this.#quietMs < 2 * lifeOf(token)) return;
    const latest = renewals.slice(-many);
    const tookMs = this.clock.now - (latest[0]?.at as number);
    const leastMs = Math.min(...latest.map(({ leastSpreadMs }) => leastSpreadMs));
    this.watch.check(
      'P11',
      tookMs > leastMs,
      () =>
        `${many} connections of ${site.name} were renewed within ${Math.round(tookMs)} ms, not over ${Math.round(leastMs)} ms`,
    );
  }

  /**
   * How far apart renewals are at least, by the time that there is for that of `replaced`. A connection may be opened on a token
   * that is about to be refreshed, because a good token is served during its refresh (P4): all that then remains is the time
   * until its eviction margin, and of that a quarter where logins take long.
   */
  #leastSpread(site: Site, later: IssuedToken, replaced: number): number {
    const margin = evictionMargin(later);
    const old = [...site.physical].find((connection) => sessionOf(connection as never)?.id === replaced);
    if (old?.token === undefined) return margin / 40;
    const { now, wall } = this.clock;
    const from = Math.max(wall - (now - old.openedAt), later.obtainedAt);
    const timeLeft = old.token.expiresOn - evictionMargin(old.token) - from;
    return timeLeft < margin ? timeLeft / 160 : margin / 40;
  }

  // ---- renewals are there before they are needed ----

  /** P2: no caller has to wait for the replacement of a connection in use, because it is opened in time. */
  #evicted({ pool, connection: number, reason }: ChannelPayloads['connection:evicted']): void {
    const site = this.#sites.find((each) => each.pool?.name === pool);
    const use = site?.latestUse.get(number);
    if (site === undefined || use === undefined) return;
    site.latestUse.delete(number);
    const { connection, from, until } = use;
    const { token, openedAt } = connection;
    const { now } = this.clock;
    // Shorter tokens leave a few seconds for it, which a slow provider or server takes up.
    if (token === undefined || lifeOf(token) < 5 * MINUTE || !this.#isCalm(site, token)) return;
    const margin = evictionMargin(token);
    const inUse = now - until < IN_USE_MS;
    // Renewals are spread over nine tenths of the time from the later token to the margin (P11), and a borrowed connection
    // is replaced at its return (P8): one that is held for longer than the last tenth may be returned too late.
    const { wall } = this.clock;
    const laterSince = Math.max(wall - (now - openedAt), site.provider.latest?.obtainedAt ?? 0);
    const lastTenth = (token.expiresOn - margin - laterSince) / 10;
    // It needs a permit and time: one may be opened on a token near its expiry.
    // The companion may have the permit for it.
    const renewable =
      site.settings.pool.overlap > 0 &&
      site.companion === undefined &&
      now - openedAt > margin &&
      until - from < lastTenth;
    if (!inUse || !renewable) return;
    this.watch.check(
      'P2',
      reason !== 'token-expiry',
      () => `c${connection.id} was in use and is closed at the end of its token, without a successor`,
    );
  }

  /** P2: what waits for the next caller is not inside its eviction margin. */
  #checkIdle(site: Site): void {
    const { now, wall } = this.clock;
    // What the companion holds leaves no permit for a successor.
    if (site.companion !== undefined) return;
    for (const { connection } of site.latestUse.values()) {
      const { token, openedAt } = connection;
      if (token === undefined || !connection.ready || site.borrowed.has(connection)) continue;
      const late = Math.min(wall - token.expiresOn + evictionMargin(token), now - openedAt);
      if (late < 0 || !this.#isCalm(site, token)) continue;
      this.watch.check('P2', late < 30_000, () => `c${connection.id} is idle ${late} ms after its eviction time`);
    }
  }

  /** Nothing has been wrong since it was issued, and a later one comes in time. */
  #isCalm({ provider, closing }: Site, token: IssuedToken): boolean {
    return provider.renewsBeforeEndMs === undefined && !closing && this.#quietMs > this.clock.wall - token.obtainedAt;
  }

  // ---- close ----

  #closeAndReopen(picked: Site): void {
    const site = primaryOf(picked);
    if (site.closing) return;
    const { pool } = site;
    for (const each of together(site)) each.closing = true;
    this.watch.note(`--- ${site.name} closes`);
    const timeoutMs = this.#random.pick([0, 1_000, 10_000, 10_000]);
    const startedAt = this.clock.now;
    const frozen = this.clock.frozen;
    const cut = (): void => {
      for (const each of together(site)) each.mayCutBorrowed = true;
    };
    this.clock.schedule(timeoutMs, cut);
    if (timeoutMs === 0) cut();
    let closed = false;
    void pool.close({ timeoutMs }).then(async () => {
      closed = true;
      const took = this.clock.now - startedAt - (this.clock.frozen - frozen);
      this.watch.note(`--- ${site.name} is closed after ${Math.round(took)} ms`);
      for (const { name, waiting } of together(site))
        this.watch.check('P6', waiting.size === 0, () => `${waiting.size} callers of ${name} still wait after close()`);
      await this.clock.sleep(1);
      for (const { name, physical } of together(site))
        this.watch.check(
          'P7',
          physical.size === 0,
          () => `${physical.size} connections of ${name} are open after close()`,
        );
      this.watch.check('P7', pool.stats.size === 0, () => `${site.name} counts ${pool.stats.size} after close()`);
    });
    this.clock.schedule(timeoutMs + 30_000, () => {
      this.watch.check('P6', closed, () => `close() of ${site.name} hangs`);
      this.#closedStats.logins += pool.stats.logins;
      this.#closedStats.renewals += pool.stats.renewals;
      for (const each of together(site)) {
        each.mayCutBorrowed = false;
        each.borrowed.clear();
        each.latestUse.clear();
        each.leaks.clear();
        each.closing = false;
        each.suspended = false;
      }
      this.#open(site);
      this.watch.note(`--- ${site.name} opens again`);
    });
  }

  #close(): void {
    for (const site of this.#sites) this.#closeAndReopen(site);
  }

  #afterClose(): void {
    for (const site of this.#sites) {
      this.watch.check('P7', site.physical.size === 0, () => `${site.physical.size} connections are left at the end`);
    }
    const busy = this.#providers.some((provider) => provider.inFlight > 0);
    for (const timer of this.clock.pending) {
      this.watch.check('P6', !timer.hasRef() || busy, () => 'a timer keeps the process alive after close()');
    }
  }
}

/** A site and its companion have one limit and are operated together. */
function together(site: Site): Site[] {
  return site.companion === undefined ? [site] : [site, site.companion];
}

function primaryOf(site: Site): Site {
  return site.isReplica ? (site.companion as Site) : site;
}

/** As many callers as the pool may have connections. */
function isExhausted(site: Site): boolean {
  const { borrowed, waiting, companion, settings } = site;
  const others = companion === undefined ? 0 : companion.borrowed.size + companion.waiting.size;
  return borrowed.size + waiting.size + others >= settings.pool.max;
}

function lifeOf(token: { expiresOn: number; obtainedAt: number }): number {
  return token.expiresOn - token.obtainedAt;
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}

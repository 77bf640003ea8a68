import type { TediousModule } from '../../src/connections/dial.js';
import type { Settings } from '../../src/connections/settings.js';
import type { OpenConnections } from '../../src/pool/open-connections.js';
import type { TokenPool } from '../../src/pool/token-pool.js';
import { CachedToken, refreshTime } from '../../src/tokens/cached-token.js';
import { OnePrincipal, type PoolTokens } from '../../src/tokens/one-principal.js';
import { sharedTokenCache } from '../../src/tokens/shared-token-cache.js';
import { TokenCache } from '../../src/tokens/token-cache.js';
import type { DrivenClock } from '../support/driven-clock.js';
import type { Features } from './features.js';
import type { IdentityProvider } from './identity-provider.js';
import type { SimConnection } from './server.js';
import type { PromiseName } from './watch.js';
import type { FAULTS } from './world.js';

/** A deliberate fault in a part of the pool. The product itself has no switch for it. */
export interface Break {
  promise: PromiseName;
  what: string;
  settings?: (settings: Settings, providers: IdentityProvider[]) => void;
  tedious?: (tedious: TediousModule, clock: DrivenClock) => TediousModule;
  pool?: (pool: TokenPool) => void;
  /** The settings of the pool of a replica; its token source is that of the primary until this changes it. */
  replica?: (settings: Settings, provider: IdentityProvider) => void;
  /** Instead of what the config of the replica says. */
  readOnly?: { fallback: boolean };
  /** Whether timers that do not keep the process alive fire: those of housekeeping do not. */
  unheldTimersFire?: boolean;
  random?: () => number;
  /** Features that the break needs, and that few seeds have. */
  features?: Partial<Features>;
  /** It shows in calm weather only. */
  calm?: boolean;
  /** It shows in faults of this kind, and too rarely for a test among all the others. */
  fault?: keyof typeof FAULTS;
}

type Tokens = PoolTokens & Record<'current' | 'get', (...args: unknown[]) => unknown>;

/** A tedious whose connections do not emit some events. */
function deaf(
  isHeard: (connection: SimConnection, name: string, args: unknown[]) => boolean,
): Required<Break>['tedious'] {
  return ({ Connection, Request }) => ({
    Connection: class extends (Connection as unknown as typeof SimConnection) {
      constructor(...configuration: ConstructorParameters<typeof SimConnection>) {
        super(...configuration);
        // A property of its own: the library derives a class from this one, whose emit sees everything first.
        const value = (name: string, ...args: unknown[]): boolean =>
          isHeard(this, name, args) && super.emit(name, ...args);
        Object.defineProperty(this, 'emit', { value });
      }
    } as unknown as TediousModule['Connection'],
    Request,
  });
}

/** The connections of a pool; TypeScript's `protected` does not exist at run time. */
function connectionsOf(pool: TokenPool): OpenConnections {
  return (pool as unknown as { parts(): { connections: OpenConnections } }).parts().connections;
}

/** A cache with some of its methods replaced. */
function patched(settings: Settings, methods: (real: PoolTokens) => Partial<Record<keyof PoolTokens, unknown>>): void {
  const { source } = settings;
  if (source === undefined) return;
  const real = source.tokens;
  const replacements = methods(real);
  source.tokens = new Proxy(real, {
    get: (_, key) => {
      const own = (replacements as Record<string | symbol, unknown>)[key];
      if (own !== undefined) return own;
      const value = (real as unknown as Record<string | symbol, unknown>)[key];
      return typeof value === 'function' ? value.bind(real) : value;
    },
  }) as Tokens;
}

/** The same token with other margins. */
function withMargins(
  token: CachedToken | undefined,
  change: { evictAt?: number; loginBefore?: number },
): CachedToken | undefined {
  return (
    token &&
    new Proxy(token, {
      get: (held, key) => {
        if (key in change) return change[key as keyof typeof change];
        const value = held[key as keyof CachedToken];
        return typeof value === 'function' ? (value as (...args: never[]) => unknown).bind(held) : value;
      },
    })
  );
}

export const BREAKS: readonly Break[] = [
  {
    promise: 'P1',
    what: 'the cache hands out its last token although it has run out',
    settings: (settings) => {
      let last: CachedToken | undefined;
      patched(settings, (real) => ({
        current: (scope: string) => {
          last = real.current(scope) ?? last;
          return last;
        },
      }));
    },
  },
  {
    promise: 'P1',
    what: 'a wall clock that is set back makes tokens younger',
    settings: (settings) => {
      let last: CachedToken | undefined;
      const byWallClock = (): CachedToken | undefined =>
        last !== undefined && Date.now() < last.loginBefore ? last : undefined;
      patched(settings, (real) => ({
        current: (scope: string) => {
          last = real.current(scope) ?? last;
          return byWallClock();
        },
        get: async (scope: string, options?: object) => {
          last = byWallClock() ?? (await real.get(scope, options));
          return last;
        },
      }));
    },
    fault: 'jump',
  },
  {
    promise: 'P2',
    what: 'tokens have no eviction margin',
    settings: (settings) => {
      patched(settings, (real) => {
        const held = (token: CachedToken | undefined) =>
          withMargins(token, { evictAt: (token?.expiresOn ?? 0) + 3_600_000 });
        return {
          current: (scope: string) => held(real.current(scope)),
          get: async (scope: string, options?: object) => held(await real.get(scope, options)),
        };
      });
    },
  },
  {
    promise: 'P2',
    what: 'connections are closed at the end of their token, without a successor',
    settings: (settings) => {
      settings.pool = { ...settings.pool, maxRenewals: 0 };
    },
  },
  {
    promise: 'P2',
    what: 'nothing is done in the background for a connection that has been opened',
    unheldTimersFire: false,
  },
  {
    promise: 'P2',
    what: 'a checkout does not wait for the token that is on its way, as after a suspend',
    settings: (settings) => {
      patched(settings, (real) => ({ status: (scope: string) => ({ ...real.status(scope), refresh: undefined }) }));
    },
    fault: 'suspend',
  },
  {
    promise: 'P3',
    what: 'each login asks the identity provider for a token of its own',
    settings: (settings, providers) => {
      patched(settings, (real) => ({
        current: () => undefined,
        get: async () => {
          const provider = providers.find(({ credential }) => new TokenCache(credential).identity === real.identity);
          const answer = await (provider as IdentityProvider).credential.getToken('scope');
          if (answer === null) throw new Error('no token');
          const obtainedAt = Date.now();
          return new CachedToken(answer, { obtainedAt, refreshOn: refreshTime(answer, obtainedAt) });
        },
      }));
    },
  },
  {
    promise: 'P4',
    what: 'a token that is due for its refresh is not served until the refresh is there',
    settings: (settings) => {
      patched(settings, (real) => ({
        current: (scope: string) => {
          const token = real.current(scope);
          return token !== undefined && Date.now() >= token.refreshOn ? undefined : token;
        },
        get: async (scope: string, options?: object) => {
          for (;;) {
            const token = await real.get(scope, options);
            // With options it is fetched ahead, before the login that waits for it.
            if (options !== undefined || Date.now() < token.refreshOn) return token;
            await new Promise((resolve) => setTimeout(resolve, 100).unref());
          }
        },
      }));
    },
  },
  {
    promise: 'P5',
    what: 'a request that failed is repeated after a second',
    settings: (_, providers) => {
      for (const provider of providers) {
        const { credential } = provider;
        const getToken = credential.getToken.bind(credential);
        credential.getToken = async (scopes, options) => {
          try {
            return await getToken(scopes, options);
          } catch {
            await new Promise((resolve) => setTimeout(resolve, 1_000));
            return getToken(scopes, options);
          }
        };
      }
    },
  },
  {
    promise: 'P6',
    what: 'one in twenty returned connections is lost',
    pool: (pool) => {
      const release = pool.release.bind(pool);
      let returned = 0;
      pool.release = (connection) => {
        returned += 1;
        if (returned % 20 !== 0) release(connection);
      };
    },
  },
  {
    promise: 'P6',
    what: 'sessions are handed out after the server has refused their token',
    tedious: deaf((connection, name) => name !== 'errorMessage' || !connection.ready),
    fault: 'midSession',
  },
  {
    promise: 'P6',
    what: 'a dial has no time limit of its own',
    settings: (settings) => {
      settings.pool = { ...settings.pool, createTimeoutMillis: 86_400_000 };
    },
  },
  {
    promise: 'P6',
    what: 'redirects are not counted',
    tedious: deaf((_, name) => name !== 'rerouting'),
  },
  {
    promise: 'P6',
    what: 'a login that fails during a failover is not repeated',
    tedious: deaf((_, name, [message]) => name !== 'errorMessage' || (message as { number: number }).number !== 40613),
    fault: 'failover',
  },
  {
    promise: 'P6',
    what: 'connections that break are not taken for a failover, and their siblings go on being handed out',
    tedious: deaf((_, name) => name !== 'error'),
    fault: 'failover',
  },
  {
    promise: 'P6',
    what: 'sessions that have become read-only go on being handed out',
    tedious: deaf((_, name, [message]) => name !== 'errorMessage' || (message as { number: number }).number !== 3906),
    fault: 'failover',
  },
  {
    promise: 'P3',
    what: 'a refusal during a failover is taken for a wrong credential, and a good token is thrown away',
    pool: (pool) => {
      Object.defineProperty(connectionsOf(pool), 'isFailingOver', { value: false });
    },
    fault: 'failover',
  },
  {
    promise: 'P6',
    what: 'idle connections get no keepalive',
    settings: (settings) => {
      settings.pool = { ...settings.pool, keepaliveMillis: 0 };
    },
    features: { keepaliveMs: 120_000 },
  },
  {
    promise: 'P3',
    what: 'a connection stays out of reach for some seconds after the answer to its keepalive',
    tedious: ({ Connection, Request }) => ({
      Connection,
      Request: class extends Request {
        constructor(...[sql, done]: ConstructorParameters<typeof Request>) {
          super(sql, (...answer) => setTimeout(() => done(...answer), 3_000).unref());
        }
      },
    }),
    // Nothing else sends a request.
    settings: (settings) => {
      settings.validateConnection = 'socket';
    },
    features: { keepaliveMs: 120_000 },
    // Costs no caller anything.
    fault: 'replaceCredential',
  },
  {
    promise: 'P6',
    what: 'connections that are never returned are not reported',
    settings: (settings) => {
      settings.pool = { ...settings.pool, leakDetectionMillis: 0 };
    },
    features: { leakDetectionMs: 60_000 },
  },
  {
    promise: 'P7',
    what: 'any number of logins run at once',
    settings: (settings) => {
      settings.pool = { ...settings.pool, maxOpening: 0 };
    },
    features: { maxOpening: 2 },
  },
  {
    promise: 'P3',
    what: 'the pool of a replica requests tokens of its own',
    replica: (settings, { credential }) => {
      const { source } = settings;
      if (source === undefined) return;
      settings.source = { ...source, tokens: new OnePrincipal(new TokenCache(credential)) };
    },
    features: { readOnly: { fallback: false } },
  },
  {
    promise: 'P6',
    what: 'the primary does not serve callers of a replica that is down',
    readOnly: { fallback: false },
    features: { readOnly: { fallback: true } },
    fault: 'replica',
  },
  {
    promise: 'P7',
    what: 'the pool allows two connections more than its limit',
    settings: (settings) => {
      settings.pool = { ...settings.pool, max: settings.pool.max + 2 };
    },
  },
  {
    promise: 'P8',
    what: 'connections are closed five minutes after their login, borrowed or not',
    tedious: ({ Connection, Request }, clock) => ({
      Connection: class extends (Connection as unknown as typeof SimConnection) {
        override connect(listener: (error?: Error) => void): void {
          super.connect((error) => {
            listener(error);
            clock.schedule(300_000, () => this.close());
          });
        }
      } as unknown as TediousModule['Connection'],
      Request,
    }),
  },
  {
    promise: 'P9',
    what: "all pools use the first pool's tokens",
    settings: (settings, providers) => {
      const { source } = settings;
      const [first] = providers;
      if (source !== undefined && first !== undefined) source.tokens = sharedTokenCache(first.credential);
    },
  },
  {
    promise: 'P1',
    what: 'sessions are reset whatever is left of their token',
    pool: (pool) => {
      const connections = connectionsOf(pool);
      const makeReady = connections.makeReady.bind(connections);
      connections.makeReady = (pooled) => {
        const { expiry, token } = pooled.live;
        Object.defineProperty(expiry, 'token', {
          value: withMargins(token, { loginBefore: Number.POSITIVE_INFINITY }),
          configurable: true,
        });
        makeReady(pooled);
      };
    },
  },
  {
    promise: 'P9',
    what: 'sessions are taken for reset that were not',
    tedious: ({ Connection, Request }) => ({
      Connection: class extends (Connection as unknown as typeof SimConnection) {
        override makeRequest(...request: Parameters<SimConnection['makeRequest']>): void {
          if (this.resetConnectionOnNextRequest) {
            this.resetConnectionOnNextRequest = false;
            this.emit('resetConnection');
          }
          super.makeRequest(...request);
        }
      } as unknown as TediousModule['Connection'],
      Request,
    }),
  },
  {
    promise: 'P9',
    what: 'logins go on with the old credential after replaceCredential()',
    settings: (settings) => {
      patched(settings, () => ({
        switchTo: (cache: PoolTokens, scope: string, wait?: object) => cache.get(scope, wait),
      }));
    },
    fault: 'replaceCredential',
  },
  {
    promise: 'P9',
    what: 'connections of the old credential stay in use after replaceCredential()',
    pool: (pool) => {
      connectionsOf(pool).supersedeAll = () => {};
    },
    fault: 'replaceCredential',
  },
  {
    promise: 'P9',
    what: 'evictAll() closes nothing',
    pool: (pool) => {
      pool.evictAll = () => {};
    },
    fault: 'evictAll',
  },
  {
    promise: 'P6',
    what: 'a suspended pool goes on serving',
    pool: (pool) => {
      pool.suspend = () => {};
    },
    fault: 'suspendPool',
  },
  {
    promise: 'P11',
    what: 'all connections choose the same moment for their renewal',
    // Each is the first one on its token.
    settings: (settings) => {
      patched(settings, (real) => ({
        current: (scope: string) => withMargins(real.current(scope), {}),
        get: async (scope: string, options?: object) => withMargins(await real.get(scope, options), {}),
      }));
    },
    random: () => 0.5,
    calm: true,
  },
];

import type { Connection, ConnectionConfiguration } from 'tedious';
import type { LoginGuard } from '../connections/login-guard.js';
import { LoginWatch } from '../connections/login-watch.js';
import { placeholderCredential } from '../connections/placeholder-credential.js';
import { isReady } from '../connections/session.js';
import type { Settings } from '../connections/settings.js';
import type { TokenSource } from '../connections/token-login.js';
import { ConfigurationError } from '../errors.js';
import { timerMs } from '../time.js';
import type { Tedious } from './pool-for.js';

export interface WatchedTedious {
  /** tedious, property by property, except for `Connection`. */
  tedious: Tedious;
  /** False for a connection that must not be used again. Does not wait for anything: for pools that check synchronously. */
  mayServe(connection: Connection): boolean;
}

type ConnectListener = (error?: Error) => void;

/**
 * The tedious module with a `Connection` that logs in with its own token, for libraries that keep their own pool and open
 * connections with `new tedious.Connection(configuration)`. Everything else in their configuration stays as it is.
 */
export function tediousModule(tedious: Tedious, settings: Settings): WatchedTedious {
  const { source, beforeConnect } = settings;
  const watch = new LoginWatch(settings);
  const renewal = source && new TokenRenewal(source);

  class WatchedConnection extends tedious.Connection {
    readonly #guard: LoginGuard;
    #abandoned = false;

    constructor(configuration: ConnectionConfiguration) {
      super(source === undefined ? withLogin(configuration, settings) : withToken(configuration));
      this.#guard = watch.adopt(this);
      describeByPolicy(this, () => watch.mayServeNow(this));
      // An error on an established connection must not crash the process when the library does not listen.
      this.on('error', () => undefined);
      this.once('connect', (error?: Error) => {
        if (error === undefined || error === null) renewal?.add(this);
      });
    }

    /** Waits for a token before the socket is opened, so that connectTimeout is the server's alone. */
    override connect(listener?: ConnectListener): void {
      cachedToken(source, settings.pool.createTimeoutMillis)
        .then(() => this.#abandoned || beforeConnect?.(this))
        .then(
          () => {
            if (this.#abandoned) return;
            this.#guard.begin();
            super.connect(listener);
          },
          (error: Error) => (listener === undefined ? this.emit('connect', error) : listener(error)),
        );
    }

    override close(): void {
      this.#abandoned = true;
      super.close();
    }
  }

  return {
    tedious: withConnection(tedious, WatchedConnection),
    mayServe: (connection) => isReady(connection) && watch.mayServeNow(connection),
  };
}

/**
 * Sequelize checks `connection.state.name === 'LoggedIn'` if its options have no `pool.validate`, which is lost if the
 * application sets its own `pool`. The state of a connection that must not be used again therefore has another name.
 */
function describeByPolicy(connection: Connection, mayServe: () => boolean): void {
  const { STATE } = connection as unknown as { STATE?: Record<string, object> };
  const loggedIn = STATE?.LOGGED_IN;
  if (loggedIn === undefined) return;
  const described = Object.defineProperties(
    {},
    {
      ...Object.getOwnPropertyDescriptors(loggedIn),
      name: { get: () => (mayServe() ? 'LoggedIn' : 'ToBeReplaced'), enumerable: true },
    },
  );
  Object.defineProperty(connection, 'STATE', { value: { ...STATE, LOGGED_IN: described }, configurable: true });
}

function withConnection(tedious: Tedious, Connection: Tedious['Connection']): Tedious {
  return Object.defineProperties({} as Tedious, {
    ...Object.getOwnPropertyDescriptors(tedious),
    Connection: { value: Connection, enumerable: true },
  });
}

/** The login comes from here and not from the library's options, which the library may print or copy. */
function withLogin(configuration: ConnectionConfiguration, settings: Settings): ConnectionConfiguration {
  const { authentication } = settings.configuration;
  return authentication === undefined ? configuration : { ...configuration, authentication };
}

/** The login as the library's options show it, without secrets. */
export function withoutPassword(
  authentication: ConnectionConfiguration['authentication'],
): { type: string; options: object } | undefined {
  if (authentication === undefined) return undefined;
  const { password: _, ...options } = (authentication.options ?? {}) as { password?: string };
  return { type: authentication.type ?? 'default', options };
}

function withToken(configuration: ConnectionConfiguration): ConnectionConfiguration {
  const { options } = configuration;
  const { packet = false, token = false } = options?.debug ?? {};
  if (options?.encrypt === false) {
    throw new ConfigurationError(
      'options.encrypt is false: an access token would be sent in cleartext. Remove it or set it to true.',
    );
  }
  return {
    ...configuration,
    authentication: { type: 'token-credential', options: { credential: placeholderCredential() } } as NonNullable<
      ConnectionConfiguration['authentication']
    >,
    // tedious would repeat a failed login 3 times within 1.5 s, with a token each; its debug output holds the token.
    options: { ...options, maxRetriesOnTransientErrors: 0, debug: { packet, token, data: false, payload: false } },
  };
}

async function cachedToken(source: TokenSource | undefined, timeoutMs: number): Promise<void> {
  if (source === undefined || source.tokens.current(source.scope) !== undefined) return;
  await source.tokens.get(source.scope, { timeoutMs });
}

/** When to check again for a token that was not available, ms. */
const ANOTHER_LOOK_MS = 1_000;
const SHORTEST_WAIT_MS = 100;

/**
 * Keeps the token refreshed while connections are open. A check that must not wait can replace a connection only when a
 * later token is cached already.
 */
class TokenRenewal {
  readonly #source: TokenSource;
  readonly #open = new Set<Connection>();
  #timer: NodeJS.Timeout | undefined;

  constructor(source: TokenSource) {
    this.#source = source;
  }

  add(connection: Connection): void {
    this.#open.add(connection);
    connection.once('end', () => {
      this.#open.delete(connection);
      if (this.#open.size > 0) return;
      clearTimeout(this.#timer);
      this.#timer = undefined;
    });
    if (this.#timer === undefined) this.#look();
  }

  #look(): void {
    const { tokens, scope } = this.#source;
    // Starts a request when one is due.
    const token = tokens.current(scope);
    const { refreshOn, evictAt } = token ?? { refreshOn: 0, evictAt: 4 * ANOTHER_LOOK_MS };
    const wait = Math.max(refreshOn - (token?.now() ?? Date.now()), (evictAt - refreshOn) / 4, SHORTEST_WAIT_MS);
    this.#timer = setTimeout(() => this.#look(), timerMs(wait)).unref();
  }
}

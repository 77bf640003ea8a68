import type { Connection, ConnectionConfiguration } from 'tedious';
import { LoginGuard } from '../connections/login-guard.js';
import { isReady, openSession } from '../connections/session.js';
import type { Settings } from '../connections/settings.js';
import type { TokenSource } from '../connections/token-login.js';
import { ConfigurationError } from '../errors.js';
import { LoginWatch } from '../mssql/login-watch.js';
import type { Tedious } from './pool-for.js';

export interface WatchedTedious {
  /** tedious, property for property, but for `Connection`. */
  tedious: Tedious;
  /**
   * False for a connection that is closed, too old, or near the end of its token while a later one is at hand. Does not
   * wait for anything: for pools that check synchronously.
   */
  mayServe(connection: Connection): boolean;
}

type ConnectListener = (error?: Error) => void;

/**
 * The tedious module with a `Connection` that brings its own token, for libraries that keep their own pool and make their
 * connections with `new tedious.Connection(configuration)`. Whatever else is in their configuration stays as it is.
 */
export function tediousModule(tedious: Tedious, settings: Settings): WatchedTedious {
  const { source, beforeConnect } = settings;
  if (source === undefined) return { tedious: withGuard(tedious, settings), mayServe: isReady };
  const watch = new LoginWatch(settings, source);
  const upkeep = new TokenUpkeep(source);

  class TokenConnection extends tedious.Connection {
    #abandoned = false;
    readonly #guard: LoginGuard | undefined;

    constructor(configuration: ConnectionConfiguration) {
      super(withToken(configuration, watch.nextCredential()));
      this.#guard = watch.adopt(this);
      // An error on an established connection must not crash the process where the library does not listen.
      this.on('error', () => undefined);
      this.once('connect', (error?: Error) => {
        if (error === undefined || error === null) upkeep.add(this);
      });
    }

    /** Has the token ready before the socket is opened, so that connectTimeout is the server's alone. */
    override connect(listener?: ConnectListener): void {
      tokenAtHand(source as TokenSource, settings.pool.createTimeoutMillis)
        .then(() => this.#abandoned || beforeConnect?.(this))
        .then(
          () => {
            if (this.#abandoned) return;
            this.#guard?.begin();
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
    tedious: withConnection(tedious, TokenConnection),
    mayServe: (connection) => isReady(connection) && (watch.mayServeNow(connection) ?? !settings.strictExpiry),
  };
}

/** SQL login and NTLM: no token, but the same guard over the login. */
function withGuard(tedious: Tedious, { beforeConnect, pool }: Settings): Tedious {
  class GuardedConnection extends tedious.Connection {
    readonly #guard: LoginGuard;

    constructor(configuration: ConnectionConfiguration) {
      super(configuration);
      this.#guard = new LoginGuard(this);
      // An error on an established connection must not crash the process when the library does not listen.
      this.on('error', () => undefined);
      this.once('connect', (error?: Error) => {
        this.#guard.end();
        if (error === undefined || error === null) openSession(this, undefined, pool.maxAgeMillis);
      });
    }

    override connect(listener?: ConnectListener): void {
      beforeConnect?.(this);
      this.#guard.begin();
      super.connect(listener);
    }
  }
  return withConnection(tedious, GuardedConnection);
}

function withConnection(tedious: Tedious, Connection: Tedious['Connection']): Tedious {
  return Object.defineProperties({} as Tedious, {
    ...Object.getOwnPropertyDescriptors(tedious),
    Connection: { value: Connection, enumerable: true },
  });
}

function withToken(configuration: ConnectionConfiguration, credential: object): ConnectionConfiguration {
  const { options } = configuration;
  const { packet = false, token = false } = options?.debug ?? {};
  if (options?.encrypt === false) {
    throw new ConfigurationError(
      'options.encrypt is false: an access token would be sent in the clear. Remove it or set it to true.',
    );
  }
  return {
    ...configuration,
    authentication: { type: 'token-credential', options: { credential } } as NonNullable<
      ConnectionConfiguration['authentication']
    >,
    // tedious would repeat a failed login 3 times within 1.5 s, with a token each; its debug output holds the token.
    options: { ...options, maxRetriesOnTransientErrors: 0, debug: { packet, token, data: false, payload: false } },
  };
}

async function tokenAtHand({ tokens, scope }: TokenSource, timeoutMs: number): Promise<void> {
  if (tokens.current(scope) === undefined) await tokens.get(scope, { timeoutMs });
}

/** How long to wait for the next look at a token that could not be had, ms. */
const ANOTHER_LOOK_MS = 1_000;
const SHORTEST_WAIT_MS = 100;

/**
 * Has the token renewed in time while connections are open. A check that must not wait can replace a connection only where
 * a later token is at hand.
 */
class TokenUpkeep {
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
    // Starts a request where one is due.
    const token = tokens.current(scope);
    const { refreshOn, evictAt } = token ?? { refreshOn: 0, evictAt: 4 * ANOTHER_LOOK_MS };
    const wait = Math.max(refreshOn - Date.now(), (evictAt - refreshOn) / 4, SHORTEST_WAIT_MS);
    this.#timer = setTimeout(() => this.#look(), Math.min(wait, LONGEST_WAIT_MS)).unref();
  }
}

/** What setTimeout takes. */
const LONGEST_WAIT_MS = 2 ** 31 - 1;

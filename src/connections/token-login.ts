import type { Connection } from 'tedious';
import type { AccessToken, TokenCredential } from '../credentials/credential.js';
import { repeatsSecret } from '../credentials/entra/repeated-secret.js';
import { ConfigurationError } from '../errors.js';
import type { CachedToken } from '../tokens/cached-token.js';
import type { PoolTokens } from '../tokens/one-principal.js';
import type { LoginGuard } from './login-guard.js';

/** Where the tokens of a pool come from, and for which resource. */
export interface TokenSource {
  tokens: PoolTokens;
  /** The scope that is requested before the socket is opened; replaced once the server has named another. */
  scope: string;
  /** Keep `scope` even if the server names another one in FEDAUTHINFO (MS-TDS 2.2.7.12). */
  scopeIsFixed: boolean;
}

/**
 * The credential of one physical connection, for tedious's `token-credential` type. tedious asks it for a token after TLS
 * and FEDAUTHINFO, again after a redirect, and each time it gets the token that is current at that moment, so no login
 * carries a stale one (P1). `token` is the one that this connection uses.
 *
 * It hands out a token only when the guard of its connection has seen that the current hop is encrypted (P10).
 */
export class TokenLogin {
  /** For tedious. A plain object with a closure because ORMs clone configs (lodash drops private fields). */
  readonly credential: TokenCredential;
  readonly #source: TokenSource;
  #guard: LoginGuard | undefined;
  #token: CachedToken | undefined;
  #failure: Error | undefined;

  constructor(source: TokenSource) {
    this.#source = source;
    this.credential = { getToken: (scope) => this.#getToken(scope) };
  }

  /** The token last handed to tedious. */
  get token(): CachedToken | undefined {
    return this.#token;
  }

  /** Why no token was provided, if the login failed because of that; tedious wraps it in an AggregateError. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Binds the login to the guard of its connection. Until then no token is handed out. */
  bind(guard: LoginGuard): void {
    this.#guard = guard;
    const cached = this.#source.tokens.peek(this.#source.scope);
    if (cached !== undefined) guard.redacts(cached.reveal());
  }

  /**
   * The login is over: its connection keeps a credential that hands out nothing, and nothing else of the login stays in
   * memory with the connection.
   */
  end(connection: Connection): void {
    const { config } = connection as unknown as {
      config?: { authentication?: { options?: { credential?: TokenCredential } } };
    };
    if (config?.authentication?.options?.credential === this.credential) config.authentication = SPENT_LOGIN;
    this.#guard = undefined;
  }

  async #getToken(serverScope: string | string[]): Promise<AccessToken> {
    try {
      const guard = this.#requireGuard();
      guard.assertMaySend('access token');
      const source = this.#source;
      const scope = this.#scopeFor(Array.isArray(serverScope) ? serverScope[0] : serverScope);
      const token = source.tokens.current(scope) ?? (await guard.pauseFor(source.tokens.get(scope)));
      // The connection may have changed during the wait for the token.
      guard.assertMaySend('access token');
      source.scope = scope;
      this.#token = token;
      const secret = token.reveal();
      guard.redacts(secret);
      return { token: secret, expiresOnTimestamp: token.expiresOn };
    } catch (error) {
      this.#failure = error as Error;
      throw error;
    }
  }

  /**
   * The server names the resource in FEDAUTHINFO (MS-TDS 2.2.7.12). It must not get a token for anything but SQL: with
   * `trustServerCertificate`, the server may be an impostor, and a token for a key vault is worth stealing. Nor may the resource be
   * a piece of the token that the server received at an earlier login, because it becomes a label of metrics (P10).
   */
  #scopeFor(asked: string | undefined): string {
    const { scope, scopeIsFixed } = this.#source;
    if (scopeIsFixed || asked === undefined || asked === scope) return scope;
    if (asked.length <= LONGEST_SCOPE && OF_SQL.test(asked) && !this.#repeatsToken(asked)) return asked;
    throw new ConfigurationError('The server asked for an access token for something other than SQL; none was sent.', {
      hint: "Check that 'server' is the right one. If it is, name the resource with the 'scope' setting.",
    });
  }

  #repeatsToken(text: string): boolean {
    const cached = this.#source.tokens.peek(this.#source.scope);
    return cached !== undefined && repeatsSecret(text, [cached.reveal()]);
  }

  #requireGuard(): LoginGuard {
    if (this.#guard !== undefined) return this.#guard;
    throw usedByAnother();
  }
}

/** The resources of the known clouds have 37 to 48 characters. */
const LONGEST_SCOPE = 80;
const OF_SQL = /^https:\/\/database\.[a-z0-9.-]+\/{1,2}\.default$/i;

/** The credential of every connection that has logged in. */
const SPENT: TokenCredential = Object.freeze({ getToken: () => Promise.reject(usedByAnother()) });
const SPENT_LOGIN = Object.freeze({ type: 'token-credential', options: Object.freeze({ credential: SPENT }) });

function usedByAnother(): ConfigurationError {
  return new ConfigurationError('The credential of a connection was used by another one.', {
    hint: 'Each connection needs its own credential: pass the configuration itself, not a copy.',
  });
}

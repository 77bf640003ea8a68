import type { Connection } from 'tedious';
import type { AccessToken, TokenCredential } from '../credentials/credential.js';
import { EncryptionRequiredError, PoolClosedError } from '../errors.js';
import type { CachedToken } from '../tokens/cached-token.js';
import type { TokenCache } from '../tokens/token-cache.js';

/** Where the tokens of a pool come from, and for which resource. */
export interface TokenSource {
  tokens: TokenCache;
  /** Scope asked for before the socket is opened; that of the server once it has named another. */
  scope: string;
  /** Keep `scope` even if the server names another one in FEDAUTHINFO (MS-TDS 2.2.7.12). */
  scopeIsFixed: boolean;
}

/**
 * The credential of one physical connection, for tedious's `token-credential` type. tedious asks it for a token after TLS
 * and FEDAUTHINFO, again after a redirect, and each time it gets the token that is current at that moment, so no login
 * carries a stale one (P1), and `token` tells which one this connection lives on.
 *
 * The secure guard (P10): tedious before 20.3.7 goes on in cleartext when a server answers `encrypt: true` with "not
 * supported", and would send the token in the clear. A token is handed out only after the connection's own `secure`
 * event (TLS inside TDS) or when the connection is `encrypt: 'strict'` (TLS before TDS). Each handshake, so each redirect
 * too, needs its own `secure` event.
 */
export class TokenLogin {
  /** For tedious. A plain object with a closure because ORMs clone configs (lodash drops private fields). */
  readonly credential: TokenCredential;
  readonly #source: TokenSource;
  readonly #strictEncryption: boolean;
  #secured = false;
  #cancelled = false;
  #token: CachedToken | undefined;
  #failure: Error | undefined;

  constructor(source: TokenSource, strictEncryption: boolean) {
    this.#source = source;
    this.#strictEncryption = strictEncryption;
    this.credential = { getToken: (scope) => this.#getToken(scope) };
  }

  /** The token last handed to tedious. */
  get token(): CachedToken | undefined {
    return this.#token;
  }

  /** Why no token was handed over, when that is why the login failed; tedious wraps it in an AggregateError. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /**
   * Binds the login to its connection, right after construction. Until then no token is handed out. Call what it returns
   * when the connection is logged in: a listener would stay with it for life.
   */
  attach(connection: Connection): () => void {
    const onSecure = (): void => {
      this.#secured = true;
    };
    connection.on('secure', onSecure);
    return () => void connection.off('secure', onSecure);
  }

  /** Refuses every further token: the dial was given up. */
  cancel(): void {
    this.#cancelled = true;
  }

  async #getToken(serverScope: string | string[]): Promise<AccessToken> {
    try {
      this.#refuseIfCancelled();
      if (!this.#strictEncryption && !this.#secured) {
        throw new EncryptionRequiredError(
          'The server does not encrypt this connection; the access token was not sent.',
          {
            hint: "Enable encryption on the server, or use options.encrypt: 'strict' with a server that speaks TDS 8.",
          },
        );
      }
      this.#secured = false;
      const source = this.#source;
      const asked = Array.isArray(serverScope) ? serverScope[0] : serverScope;
      const scope = source.scopeIsFixed || asked === undefined ? source.scope : asked;
      const held = source.tokens.current(scope) ?? (await source.tokens.get(scope));
      this.#refuseIfCancelled();
      source.scope = scope;
      this.#token = held;
      return { token: held.reveal(), expiresOnTimestamp: held.expiresOn };
    } catch (error) {
      this.#failure = error as Error;
      throw error;
    }
  }

  #refuseIfCancelled(): void {
    if (this.#cancelled) throw new PoolClosedError('The connection attempt was given up before its login.');
  }
}

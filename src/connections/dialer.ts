import { setMaxListeners } from 'node:events';
import type { Connection, ConnectionConfiguration } from 'tedious';
import { publish } from '../channels.js';
import type { CredentialError } from '../errors.js';
import type { CachedToken } from '../tokens/cached-token.js';
import { DialFailedError, dial, type TediousModule } from './dial.js';
import { freshTokenMayHelp, isJustIssued } from './login-failure.js';
import { OutageGate } from './outage-gate.js';
import type { Session } from './session.js';
import type { TokenSource } from './token-login.js';

/** AADSTS500011: the resource does not exist in that tenant. */
const NO_SUCH_RESOURCE = 500_011;

export interface DialerOptions {
  /** Name of the pool, for events. */
  pool: string;
  /** Loads tedious; called at the first dial, so that a pool that is never used never loads it. */
  tedious: () => Promise<TediousModule>;
  configuration: ConnectionConfiguration;
  /** Where tokens come from; undefined for SQL login and NTLM. */
  source: TokenSource | undefined;
  /** Longest time from the first attempt of one `open` to its last, ms. */
  createTimeoutMs: number;
  /** mssql's hook: sees each tedious connection before anything is sent. */
  beforeConnect?: ((connection: Connection) => void) | undefined;
  /** A token was refused before its time: what lives on it should not be handed out any more. */
  onTokenRefused: (token: CachedToken) => void;
}

/**
 * Opens connections for one pool. Everything that may be repeated about a login is repeated here and nowhere else: once
 * more with a fresh token where the token was the cause, again on Azure SQL's schedule where the server asks for
 * patience. tedious's own retry (3 times, 500 ms apart, a token request each) is off.
 */
export class Dialer {
  readonly #options: DialerOptions;
  readonly #gate = new OutageGate();
  /** Gives up what is under way; there is none while nothing is, since one of these is larger than a pool's own state. */
  #underWay: AbortController | undefined;
  #calls = 0;
  #closed: Error | undefined;
  /** A token that was refused although it was fresh: its principal has no user there, a fresher one does not help. */
  #refusedWhenFresh: string | undefined;

  constructor(options: DialerOptions) {
    this.#options = options;
  }

  /** Milliseconds until the server is asked again; 0 while it is well. */
  get pauseMs(): number {
    return this.#gate.pauseMs;
  }

  /**
   * A session on a usable token (P1).
   *
   * @throws TokenPoolError of the class that fits the failure; what `close` was given
   */
  async open(): Promise<Session> {
    if (this.#closed !== undefined) throw this.#closed;
    this.#underWay ??= createController();
    this.#calls += 1;
    try {
      return await this.#openUnless(this.#underWay.signal);
    } finally {
      this.#calls -= 1;
      if (this.#calls === 0) this.#underWay = undefined;
    }
  }

  /** Gives up what is under way, for `reason`, and opens nothing any more. */
  close(reason: Error): void {
    this.#closed = reason;
    this.#underWay?.abort(reason);
  }

  async #openUnless(signal: AbortSignal): Promise<Session> {
    const deadline = performance.now() + this.#options.createTimeoutMs;
    let freshTokenTried = false;
    for (;;) {
      try {
        await this.#prefetchToken(deadline, signal);
        return await this.#gate.run(() => this.#attempt(signal), signal);
      } catch (error) {
        if (!(error instanceof DialFailedError)) throw error;
        const { kind } = error.failure;
        if (kind === 'transient' && performance.now() + this.#gate.pauseMs < deadline) continue;
        if (freshTokenTried || !(await this.#getFreshToken(error, deadline, signal))) throw error.failure.error;
        freshTokenTried = true;
      }
    }
  }

  /** Waits for a token before a socket is opened, so that connectTimeout is the server's alone. */
  async #prefetchToken(deadline: number, signal: AbortSignal): Promise<void> {
    const { source } = this.#options;
    if (source === undefined || source.tokens.current(source.scope) !== undefined) return;
    const timeoutMs = Math.max(1, deadline - performance.now());
    try {
      await source.tokens.get(source.scope, { timeoutMs, abortSignal: signal });
    } catch (error) {
      // In a cloud that its name does not tell, the server says in FEDAUTHINFO which resource it is.
      if (source.scopeIsFixed || (error as CredentialError).aadsts !== NO_SUCH_RESOURCE) throw error;
    }
  }

  async #attempt(signal: AbortSignal): Promise<Session> {
    const { pool, configuration, source, beforeConnect } = this.#options;
    const tedious = await this.#options.tedious();
    const startedAt = performance.now();
    try {
      const session = await dial({ tedious, configuration, source, beforeConnect, signal });
      publish('connection:opened', () => ({
        pool,
        connection: session.id,
        tokenId: session.token?.id,
        tokenExpiresOn: session.token?.expiresOn,
        durationMs: performance.now() - startedAt,
      }));
      return session;
    } catch (error) {
      if (error instanceof DialFailedError) {
        const { kind, error: cause } = error.failure;
        const durationMs = performance.now() - startedAt;
        publish('connection:login-failed', () => ({ pool, error: cause, kind, durationMs }));
      }
      throw error;
    }
  }

  /** Throws a refused token away and gets another; false where that cannot change the server's answer. */
  async #getFreshToken({ failure, token }: DialFailedError, deadline: number, signal: AbortSignal): Promise<boolean> {
    const { source, onTokenRefused } = this.#options;
    if (source === undefined || token === undefined) return false;
    if (failure.kind === 'ambiguous' && isJustIssued(token)) this.#refusedWhenFresh = token.id;
    if (!freshTokenMayHelp(failure.kind, token)) return false;
    if (failure.kind === 'ambiguous' && token.id === this.#refusedWhenFresh) return false;
    source.tokens.invalidate(token);
    onTokenRefused(token);
    try {
      const timeoutMs = Math.max(1, deadline - performance.now());
      const next = await source.tokens.get(source.scope, { timeoutMs, abortSignal: signal });
      return next.id !== token.id;
    } catch {
      // The server's refusal is the better story for the caller; the provider's failure has its own event.
      return false;
    }
  }
}

function createController(): AbortController {
  const controller = new AbortController();
  // One listener for each dial.
  setMaxListeners(0, controller.signal);
  return controller;
}

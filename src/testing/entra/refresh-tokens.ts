import { randomBytes } from 'node:crypto';
import type { UserAccount } from './directory.js';
import { refuse } from './refusal.js';
import type { RequestedAccess } from './requested-access.js';
import type { ClientAuthentication } from './token-issuer.js';

/** A user's sign-in to one application, as represented by a refresh token. */
export interface SignIn {
  readonly user: UserAccount;
  readonly clientId: string;
  readonly tenantId: string;
  /** What the application requested at sign-in. */
  readonly access: RequestedAccess;
  /** How the user authenticated: `pwd`, `mfa`. */
  readonly amr: readonly string[];
}

export interface RefreshTokenSettings {
  /** Lifetime without use, seconds. Entra: 90 days. */
  lifetimeSeconds: number;
  /** Refuse a refresh token that was used before, as Entra does for single-page apps; otherwise old ones stay valid. */
  oneTime: boolean;
}

interface Issued {
  readonly signIn: SignIn;
  readonly issuedAt: number;
  /** How the application authenticated when it got the token. */
  readonly authentication: ClientAuthentication;
  used: boolean;
  revoked: boolean;
}

/** The issued refresh tokens. Each use issues a new one. */
export class RefreshTokens {
  readonly #settings: RefreshTokenSettings;
  readonly #issued = new Map<string, Issued>();

  constructor(settings: RefreshTokenSettings) {
    this.#settings = settings;
  }

  issue(signIn: SignIn, authentication: ClientAuthentication, now: number): string {
    // Real ones are opaque as well and start with a version.
    const token = `1.${randomBytes(64).toString('base64url')}`;
    this.#issued.set(token, { signIn, issuedAt: now, authentication, used: false, revoked: false });
    return token;
  }

  /**
   * The sign-in behind a refresh token that is valid for this application. RFC 6749 section 6: an application that
   * authenticated to get it must do so again to use it.
   */
  redeem(token: string, by: { clientId: string; authentication: ClientAuthentication }, now: number): SignIn {
    const issued = this.#issued.get(token);
    if (issued === undefined || issued.signIn.clientId !== by.clientId) throw refuse(70000, 'refresh_token');
    if (issued.authentication !== 'none' && by.authentication === 'none') throw refuse(7000218);
    if (issued.revoked) throw refuse(50173);
    if (now - issued.issuedAt >= this.#settings.lifetimeSeconds * 1000) {
      throw refuse(700082, `The token was issued on ${new Date(issued.issuedAt).toISOString()}.`);
    }
    if (issued.used && this.#settings.oneTime) throw refuse(70000, 'refresh_token');
    issued.used = true;
    return issued.signIn;
  }

  revokeAllOf(user: UserAccount): void {
    for (const issued of this.#issued.values()) {
      if (issued.signIn.user.objectId === user.objectId) issued.revoked = true;
    }
  }
}

import { randomBytes } from 'node:crypto';
import type { UserAccount } from './directory.js';
import { refuse } from './refusal.js';
import type { RequestedAccess } from './requested-access.js';

/** A pending device code sign-in; the test plays the part of the user. */
export interface DeviceSignIn {
  /** The code that the user types in, e.g. `BKMPTRHWX`. */
  readonly userCode: string;
  readonly clientId: string;
  /** Requested resource, e.g. `https://database.windows.net`. */
  readonly resource: string;
  readonly state: 'pending' | 'approved' | 'declined' | 'expired' | 'redeemed';
  /** How often the application has polled so far. */
  readonly polls: number;
  /** Signs in as this user (default: the default user); the next poll gets the tokens. */
  approve(user?: UserAccount): void;
  decline(): void;
  /** Lets the code expire. */
  expire(): void;
}

export interface DeviceCodeSettings {
  /** How long to wait between polls, seconds. */
  intervalSeconds: number;
  /** Lifetime of a code, seconds. */
  expiresInSeconds: number;
}

interface Pending {
  readonly deviceCode: string;
  readonly userCode: string;
  readonly clientId: string;
  readonly tenantId: string;
  readonly access: RequestedAccess;
  readonly expiresAt: number;
  intervalSeconds: number;
  lastPoll: number;
  polls: number;
  state: DeviceSignIn['state'];
  user: UserAccount | undefined;
}

/** No vowels or digits, so that no words appear and no characters look alike. */
const CODE_LETTERS = 'BCDFGHJKLMNPQRSTVWXZ';

/** RFC 8628 section 3.5: after slow_down the client waits 5 s more. */
const SLOW_DOWN_SECONDS = 5;

/** A poll is too early before this fraction of the interval; more lenient than the RFC, because clocks and networks vary. */
const TOO_EARLY = 0.5;

/** Sign-ins on another device (RFC 8628). */
export class DeviceCodes {
  readonly signIns: DeviceSignIn[] = [];
  readonly #settings: DeviceCodeSettings;
  readonly #defaultUser: UserAccount;
  readonly #pending = new Map<string, Pending>();

  constructor(settings: DeviceCodeSettings, defaultUser: UserAccount) {
    this.#settings = settings;
    this.#defaultUser = defaultUser;
  }

  start(request: { clientId: string; tenantId: string; access: RequestedAccess }, now: number): Pending {
    const pending: Pending = {
      ...request,
      deviceCode: randomBytes(48).toString('base64url'),
      userCode: [...randomBytes(9)].map((byte) => CODE_LETTERS[byte % CODE_LETTERS.length]).join(''),
      expiresAt: now + this.#settings.expiresInSeconds * 1000,
      intervalSeconds: this.#settings.intervalSeconds,
      lastPoll: Number.NEGATIVE_INFINITY,
      polls: 0,
      state: 'pending',
      user: undefined,
    };
    this.#pending.set(pending.deviceCode, pending);
    this.signIns.push(this.#control(pending));
    return pending;
  }

  /** The user who signed in; until then, throws the refusal that the client acts on. */
  redeem(deviceCode: string, clientId: string, now: number): Pending & { user: UserAccount } {
    const pending = this.#pending.get(deviceCode);
    if (pending === undefined || pending.clientId !== clientId) throw refuse(70018);
    const early = now - pending.lastPoll < pending.intervalSeconds * 1000 * TOO_EARLY;
    pending.polls += 1;
    pending.lastPoll = now;
    if (pending.state === 'pending' && now >= pending.expiresAt) pending.state = 'expired';
    if (pending.state === 'declined') throw refuse(65004).as('authorization_declined');
    if (pending.state === 'expired' || pending.state === 'redeemed') throw refuse(70019);
    if (early) {
      pending.intervalSeconds += SLOW_DOWN_SECONDS;
      throw refuse(70016).as('slow_down');
    }
    const { user } = pending;
    if (user === undefined) throw refuse(70016);
    pending.state = 'redeemed';
    return { ...pending, user };
  }

  /** The sign-in with this code, typed in any case and with any spaces or dashes. */
  find(typed: string): DeviceSignIn | undefined {
    const code = typed.toUpperCase().replaceAll(/[^A-Z]/g, '');
    return this.signIns.find((signIn) => signIn.userCode === code);
  }

  #control(pending: Pending): DeviceSignIn {
    const settle = (state: Pending['state']) => {
      if (pending.state !== 'pending') throw new Error(`The code ${pending.userCode} is already ${pending.state}`);
      pending.state = state;
    };
    return {
      userCode: pending.userCode,
      clientId: pending.clientId,
      resource: pending.access.resource,
      get state() {
        return pending.state;
      },
      get polls() {
        return pending.polls;
      },
      approve: (user = this.#defaultUser) => {
        settle('approved');
        pending.user = user;
      },
      decline: () => settle('declined'),
      expire: () => settle('expired'),
    };
  }
}

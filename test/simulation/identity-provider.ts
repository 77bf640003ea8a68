import type { AccessToken, GetTokenOptions, TokenCredential } from '../../src/credentials/credential.js';
import {
  CredentialRejectedError,
  TokenThrottledError,
  TokenTimeoutError,
  TokenUnavailableError,
} from '../../src/errors.js';
import type { DrivenClock } from '../support/driven-clock.js';
import type { Random } from '../support/random.js';
import type { Watch } from './watch.js';

/**
 * A token with everything that the harness knows about it. Epoch ms; `expiresOn` and `obtainedAt` by the clock of the
 * process.
 */
export interface IssuedToken {
  /** As it is sent. */
  text: string;
  /** For people. */
  name: string;
  principal: string;
  /** The number of the credential that it was issued to. */
  credential: number;
  expiresOn: number;
  trueExpiry: number;
  obtainedAt: number;
  /** Monotonic ms of its first delivery; undefined until then. */
  deliveredAt: number | undefined;
  /** A login or query with it failed, so that discarding it is right. */
  suspect: boolean;
}

export const PROVIDER_FAULTS = [
  'hang',
  'network',
  '500',
  '429',
  'refused',
  'nothing',
  'plain-error',
  'expired',
  'odd-answer',
  'odd-error',
] as const;
export type ProviderFault = (typeof PROVIDER_FAULTS)[number];

/** What no credential should return. */
const ODD_ANSWERS: readonly unknown[] = [
  undefined,
  'token',
  42,
  {},
  { token: '', expiresOnTimestamp: 1e13 },
  { token: 42, expiresOnTimestamp: 1e13 },
  { token: 'odd' },
  { token: 'odd', expiresOnTimestamp: Number.NaN },
  { token: 'odd', expiresOnTimestamp: Number.POSITIVE_INFINITY },
  { token: 'odd', expiresOnTimestamp: '2030-01-01' },
  { token: 'odd', expiresOnTimestamp: 1_700_000_000 },
  { token: 'odd', expiresOnTimestamp: -1 },
];

/** What no credential should throw. */
const ODD_ERRORS: readonly unknown[] = [
  undefined,
  null,
  'text',
  { status: 429, message: {} },
  { statusCode: 503, message: 42 },
  Object.assign(new Error('odd'), { retryAfterMs: Number.NaN }),
  Object.assign(new Error('odd'), { retryAfterMs: 'soon', status: 429 }),
  Object.assign(new Error('odd'), { retryAfterMs: -1, status: 429 }),
  Object.assign(new Error('odd'), { statusCode: 429, response: { headers: { get: () => 12 } } }),
  Object.defineProperty(new Error('odd'), 'message', {
    get: () => {
      throw new Error('getter');
    },
  }),
];

/** An identity provider for one credential of a principal, which fails at times. */
export class IdentityProvider {
  readonly principal: string;
  /** The number of the credential among those of the principal. */
  readonly number: number;
  /** All its tokens begin with this. */
  readonly prefix: string;
  readonly tokens = new Map<string, IssuedToken>();
  readonly credential: TokenCredential;
  readonly #clock: DrivenClock;
  readonly #random: Random;
  readonly #watch: Watch;
  latencyMs = 200;
  lifeMs = 3_600_000;
  /** Share of its life after which the issuer asks for a refresh. */
  refreshAfter: number | undefined;
  /**
   * Returns the same token until this long before its expiry, as a managed identity does; undefined: always a new one.
   */
  renewsBeforeEndMs: number | undefined;
  fault: ProviderFault | undefined;
  /** Monotonic ms since which it has been well and as fast as usual; Infinity while it is not. */
  wellSince = 0;
  retryAfterMs: number | undefined;
  requests = 0;
  #issued = 0;
  /** Monotonic ms until which a `Retry-After` asks for silence. */
  silentUntil = 0;
  /**
   * Called when it has failed, perhaps after the fault that caused the failure; `silentMs` is the pause that it asks
   * for.
   */
  onFailure: (silentMs: number) => void = () => {};
  latest: IssuedToken | undefined;
  #cached: IssuedToken | undefined;
  #inFlight = 0;
  #failures = 0;
  #notBefore = 0;
  readonly #credentials: { credentials: number };

  /** @param issued counts the credentials of the principal */
  constructor(
    principal: string,
    clock: DrivenClock,
    random: Random,
    watch: Watch,
    issued: { credentials: number } = { credentials: 0 },
  ) {
    issued.credentials += 1;
    this.principal = principal;
    this.number = issued.credentials;
    this.#credentials = issued;
    const claims = Buffer.from(JSON.stringify({ tid: 'tenant', oid: principal })).toString('base64url');
    this.prefix = `e30.${claims}.${this.number}-`;
    this.#clock = clock;
    this.#random = random;
    this.#watch = watch;
    this.credential = { getToken: (_scope, options) => this.#getToken(options) };
  }

  /** Another credential of the same principal, as after a secret has been rotated. */
  another(): IdentityProvider {
    const other = new IdentityProvider(this.principal, this.#clock, this.#random, this.#watch, this.#credentials);
    const { latencyMs, lifeMs, refreshAfter, renewsBeforeEndMs } = this;
    return Object.assign(other, {
      latencyMs,
      lifeMs,
      refreshAfter,
      renewsBeforeEndMs,
      wellSince: this.#clock.now,
      onFailure: this.onFailure,
    });
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Its latest answer was a failure. */
  get isFailing(): boolean {
    return this.#failures > 0;
  }

  forgetCached(): void {
    this.#cached = undefined;
  }

  async #getToken(options: GetTokenOptions = {}): Promise<AccessToken | null> {
    const clock = this.#clock;
    const watch = this.#watch;
    this.requests += 1;
    this.#inFlight += 1;
    watch.note(`${this.principal}: token request ${this.requests} (${this.fault ?? 'well'})`);
    watch.check(
      'P3',
      this.#inFlight === 1,
      () => `${this.#inFlight} token requests of ${this.principal} are in flight`,
    );
    watch.check(
      'P5',
      clock.now >= this.#notBefore,
      () => `${this.principal} is asked ${Math.ceil(this.#notBefore - clock.now)} ms too early`,
    );
    const { latest } = this;
    // P3, second half: a token that is far from its refresh is not asked for again.
    if (
      latest !== undefined &&
      !latest.suspect &&
      this.refreshAfter === undefined &&
      this.renewsBeforeEndMs === undefined
    ) {
      const life = latest.expiresOn - latest.obtainedAt;
      const earliest = latest.obtainedAt + 0.9 * Math.max(life / 2, life - 600_000) - 2;
      watch.check(
        'P3',
        clock.wall >= earliest,
        () => `${this.principal} is asked although its token is good for ${latest.expiresOn - clock.wall} ms`,
      );
    }
    let left = false;
    const leave = (): void => {
      if (!left) this.#inFlight -= 1;
      left = true;
    };
    const onAbort = (): void => {
      leave();
      this.#noteFailure(0);
    };
    options.abortSignal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await this.#answer(options.abortSignal);
    } finally {
      options.abortSignal?.removeEventListener('abort', onAbort);
      leave();
    }
  }

  async #answer(signal: AbortSignal | undefined): Promise<AccessToken | null> {
    const { fault, retryAfterMs } = this;
    if (fault === 'hang') return new Promise(() => {});
    await this.#clock.sleep(this.latencyMs * this.#random.between(0.5, 1.5));
    if (signal?.aborted) throw new TokenTimeoutError('too late');
    if (fault === undefined) return this.#issue();
    this.#noteFailure(fault === '429' ? (retryAfterMs ?? 0) : 0);
    switch (fault) {
      case '429':
        throw new TokenThrottledError('slow down', { retryAfterMs, status: 429 });
      case '500':
        throw new TokenUnavailableError('internal error', { status: 500 });
      case 'network':
        throw Object.assign(new Error('getaddrinfo ENOTFOUND login'), { code: 'ENOTFOUND' });
      case 'refused':
        throw new CredentialRejectedError('AADSTS7000215: wrong secret', { status: 401, aadsts: 7000215 });
      case 'plain-error':
        throw new Error('something else');
      case 'nothing':
        return null;
      case 'odd-answer':
        return this.#random.pick(ODD_ANSWERS) as AccessToken;
      case 'odd-error':
        throw this.#random.pick(ODD_ERRORS);
      case 'expired':
        return { token: `${this.prefix}expired`, expiresOnTimestamp: this.#clock.wall - 1_000 };
    }
  }

  #issue(): AccessToken {
    const clock = this.#clock;
    const reuse = this.#cached;
    let issued: IssuedToken;
    if (
      reuse !== undefined &&
      this.renewsBeforeEndMs !== undefined &&
      clock.wall < reuse.expiresOn - this.renewsBeforeEndMs
    ) {
      issued = reuse;
    } else {
      this.#issued += 1;
      const life = this.lifeMs * this.#random.between(1, 1.2);
      issued = {
        text: `${this.prefix}${this.#issued}`,
        name: `${this.principal}/${this.number}.${this.#issued}`,
        principal: this.principal,
        credential: this.number,
        expiresOn: Math.floor(clock.wall + life),
        trueExpiry: clock.trueTime + life,
        obtainedAt: clock.wall,
        deliveredAt: clock.now,
        suspect: false,
      };
      this.tokens.set(issued.text, issued);
      this.#cached = issued;
      if (this.tokens.size > 200) this.tokens.delete(this.tokens.keys().next().value as string);
    }
    this.#failures = 0;
    this.#notBefore = 0;
    if (this.latest === undefined || this.latest.suspect || issued.expiresOn >= this.latest.expiresOn) {
      this.latest = issued;
    }
    this.#watch.note(`${this.principal}: gives ${issued.name}, ends in ${issued.expiresOn - clock.wall} ms`);
    const refreshAfterTimestamp =
      this.refreshAfter === undefined
        ? undefined
        : issued.obtainedAt + (issued.expiresOn - issued.obtainedAt) * this.refreshAfter;
    return { token: issued.text, expiresOnTimestamp: issued.expiresOn, refreshAfterTimestamp };
  }

  /** P5, worked out independently: 5 s doubling to 60 s, or what the provider asked for. */
  #noteFailure(retryAfterMs: number): void {
    this.#failures += 1;
    const pause = Math.max(retryAfterMs, Math.min(60_000, 5_000 * 2 ** (this.#failures - 1)));
    this.#notBefore = this.#clock.now + pause;
    this.silentUntil = Math.max(this.silentUntil, this.#notBefore + pause * 0.1);
    this.onFailure(pause * 1.1);
    this.#watch.note(`${this.principal}: failure ${this.#failures}, silence for ${pause} ms`);
  }
}

/** Margins as the promises put them, worked out independently of the product. */
export function loginBefore({ expiresOn, obtainedAt }: IssuedToken): number {
  return expiresOn - Math.min(60_000, (expiresOn - obtainedAt) / 10);
}

export function evictionMargin({ expiresOn, obtainedAt }: IssuedToken): number {
  return Math.min(300_000, (expiresOn - obtainedAt) / 4);
}

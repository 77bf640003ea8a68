import { setTimeout as sleep } from 'node:timers/promises';
import { decodeToken } from '../entra/json-web-token.js';
import { type IssuerTrust, verifyAccessToken } from '../entra/verification.js';
import type { TokenAuthority } from './options.js';

/** Minimum time between two requests for the issuer's keys, ms: forged tokens cannot cause a flood of them. */
const PAUSE_MS = 1_000;
/** An issuer that does not answer within this time is not reached, ms. */
const FETCH_MS = 5_000;
/** Longest wait of a login for the key that its token names, ms; drivers give up after 15 s. */
const WAIT_MS = 3_000;

/**
 * Trusts the tokens of an external issuer: an Entra emulator in another process, or Microsoft's own service. Its keys are
 * fetched once, and again when a token names a key that is not among them, so that logins keep working after a key rotation: such a
 * login waits up to 3 s for the keys, then is judged by them. Keys are fetched at most once per second, for all logins that wait.
 *
 * @param url Base URL with the tenant, e.g. `http://localhost:8080/<tenant id>` or
 *   `https://login.microsoftonline.com/<tenant id>`.
 * @throws Error if the issuer cannot be reached or its answer is invalid.
 * @example
 * const server = await startSqlEmulator({ entra: await trustIssuer('http://entra:8080/my-tenant') });
 */
export async function trustIssuer(url: string): Promise<TokenAuthority> {
  const base = new URL(url.replace(/\/{1,10}$/, ''));
  const tenantId = base.pathname.split('/').at(-1) ?? '';
  if (tenantId === '') throw new TypeError(`${url} names no tenant; write ${base.origin}/<tenant id>`);
  const issuer = new Issuer(base, await readTrust(base));
  return {
    url: base.href.slice(0, -tenantId.length - 1),
    tenantId,
    verify(token, options) {
      const startedAt = performance.now();
      const verdict = (now: number) => verifyAccessToken(token, { ...issuer.trust, ...options, now });
      if (issuer.hasKeyOf(token)) return verdict(options.now);
      // The token may have expired during the wait.
      return issuer.fetchKeys().then(() => verdict(options.now + performance.now() - startedAt));
    },
  };
}

/** The keys of an issuer, as far as they are known. */
class Issuer {
  trust: IssuerTrust;
  readonly #base: URL;
  #fetch: Promise<void> | undefined;
  #startedAt = performance.now();

  constructor(base: URL, trust: IssuerTrust) {
    this.#base = base;
    this.trust = trust;
  }

  /** Whether the key that the token names is known; true for a token that names none. */
  hasKeyOf(token: string): boolean {
    const kid = decodeToken(token)?.header.kid;
    return typeof kid !== 'string' || this.trust.jwks.keys.some((key) => key.kid === kid);
  }

  /** Resolves when the keys are as recent as this call, or cannot be fetched in time. */
  async fetchKeys(): Promise<void> {
    const askedAt = performance.now();
    const limit = new AbortController();
    const timeout = sleep(WAIT_MS, undefined, { ref: false, signal: limit.signal }).catch(() => {});
    const fetched = async (): Promise<void> => {
      // A request that had begun earlier may have read the keys before they were rotated.
      do await this.#fetchSoon();
      while (this.#startedAt < askedAt);
    };
    await Promise.race([fetched(), timeout]);
    limit.abort();
  }

  /** One request for all who wait, after the pause. */
  #fetchSoon(): Promise<void> {
    this.#fetch ??= this.#fetchAfterPause().finally(() => {
      this.#fetch = undefined;
    });
    return this.#fetch;
  }

  async #fetchAfterPause(): Promise<void> {
    const pauseMs = this.#startedAt + PAUSE_MS - performance.now();
    if (pauseMs > 0) await sleep(pauseMs, undefined, { ref: false });
    this.#startedAt = performance.now();
    // The known keys stay valid if this fails.
    this.trust = await readTrust(this.#base).catch(() => this.trust);
  }
}

async function readTrust(base: URL): Promise<IssuerTrust> {
  const [jwks, ...issuers] = await Promise.all([
    // Ignores `jwks_uri`: for an issuer in a container, it holds the address seen from the host.
    readJson(`${base.href}/discovery/v2.0/keys`),
    issuerIn(`${base.href}/.well-known/openid-configuration`),
    issuerIn(`${base.href}/v2.0/.well-known/openid-configuration`),
  ]);
  return { jwks: jwks as IssuerTrust['jwks'], issuers };
}

async function issuerIn(url: string): Promise<string> {
  const { issuer } = (await readJson(url)) as { issuer?: unknown };
  if (typeof issuer !== 'string') throw new Error(`${url} names no issuer`);
  return issuer;
}

async function readJson(url: string): Promise<unknown> {
  const response = await fetch(url, { signal: AbortSignal.timeout(FETCH_MS) }).catch((cause) => {
    throw new Error(`${url} cannot be reached`, { cause });
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status}${await reasonIn(response)}`);
  return await response.json();
}

/** Entra's own words, e.g. that there is no such tenant: one short line. */
async function reasonIn(response: Response): Promise<string> {
  const body = (await response.json().catch(() => undefined)) as { error_description?: unknown } | undefined;
  const text = typeof body?.error_description === 'string' ? body.error_description.slice(0, 200) : '';
  const [line = ''] = text.split(/[^\P{Cc}]/u, 1);
  return line === '' ? '' : `: ${line}`;
}

import { type IssuerTrust, verifyAccessToken } from '../entra/verification.js';
import type { TokenAuthority } from './options.js';

/** Minimum time between two requests for the issuer's keys, ms, so that forged tokens cannot cause a flood of them. */
const REFRESH_INTERVAL_MS = 10_000;

/**
 * Trusts the tokens of an external issuer: an Entra emulator in another process, or Microsoft's own service. Its keys are
 * fetched once, and again when no key matches a token's signature, so that logins keep working after a key rotation.
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
  let trust = await readTrust(base);
  let nextRefresh = Date.now() + REFRESH_INTERVAL_MS;
  const refresh = (): void => {
    if (Date.now() < nextRefresh) return;
    nextRefresh = Date.now() + REFRESH_INTERVAL_MS;
    readTrust(base).then(
      (fresh) => {
        trust = fresh;
      },
      // The known keys stay valid; the next unknown signature causes another request.
      () => {},
    );
  };
  return {
    url: base.href.slice(0, -tenantId.length - 1),
    tenantId,
    verify(token, options) {
      const result = verifyAccessToken(token, { ...trust, ...options });
      if (result.error === 'signature') refresh();
      return result;
    },
  };
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
  const response = await fetch(url, { signal: AbortSignal.timeout(REFRESH_INTERVAL_MS) }).catch((cause) => {
    throw new Error(`${url} cannot be reached`, { cause });
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return await response.json();
}

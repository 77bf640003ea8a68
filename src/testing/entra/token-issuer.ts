import { randomBytes } from 'node:crypto';
import { AZURE_CLI_CLIENT_ID, type EntraPrincipal, type UserAccount } from './directory.js';
import { newSigningKey, type SigningKey, type SigningKeySource, signToken } from './json-web-token.js';
import type { TokenClaims } from './verification.js';

/** Tokens with at least this lifetime use whole seconds, as Entra's do; shorter ones are exact to the millisecond. */
const WHOLE_SECONDS_FROM = 60;
const HOUR_SECONDS = 3600;
/** Managed identity tokens are valid for about a day. */
const DAY_SECONDS = 86_400;

/** None for a public client. */
export type ClientAuthentication = 'none' | 'secret' | 'assertion';

export interface TokenDetails {
  /** `aud` of the token. */
  audience: string;
  tenantId: string;
  /** Client id of the requesting application, if the token identifies a user. */
  clientId?: string | undefined;
  /** How that application authenticated; `appidacr` of the token. */
  authentication?: ClientAuthentication | undefined;
  /** Delegated permissions (`scp`); only in user tokens. */
  scopes?: readonly string[] | undefined;
  /** How the user signed in. */
  amr?: readonly string[] | undefined;
  /** Client capabilities; with `cp1`, the token is long-lived and can be revoked. */
  capabilities?: readonly string[] | undefined;
  /** Issue a new token even if the issuer would repeat the last one. */
  fresh?: boolean | undefined;
  /** Lifetime in seconds; overrides the issuer's setting. */
  expiresInSeconds?: number | undefined;
  /** Claims to add or replace. */
  claims?: Readonly<Record<string, unknown>> | undefined;
}

export interface IssuedToken {
  token: string;
  claims: TokenClaims;
}

export interface IssuerSettings {
  url: string;
  now: () => number;
  /** Undefined: an hour, and for managed identities a day. */
  tokenLifetimeSeconds: number | undefined;
  /** Lifetime of tokens that can be revoked (continuous access evaluation). */
  caeTokenLifetimeSeconds: number;
  refreshInSeconds: number | undefined;
  sameToken: boolean;
  tokenVersion: 1 | 2;
  key: SigningKeySource;
}

/** Signs access tokens; decides on their lifetime and whether to repeat the last one. */
export class TokenIssuer {
  readonly #settings: IssuerSettings;
  readonly #keys: SigningKeySource[];
  readonly #handedOut = new Map<string, IssuedToken>();
  readonly #revocable: TokenClaims[] = [];
  /** Token ids (`uti`). */
  readonly #revoked = new Set<unknown>();
  #issued = 0;

  constructor(settings: IssuerSettings) {
    this.#settings = { ...settings };
    this.#keys = [settings.key];
    assertPositive('tokenLifetimeSeconds', settings.tokenLifetimeSeconds);
    assertPositive('caeTokenLifetimeSeconds', settings.caeTokenLifetimeSeconds);
    assertPositive('refreshInSeconds', settings.refreshInSeconds);
  }

  get url(): string {
    return this.#settings.url;
  }

  get now(): number {
    return this.#settings.now();
  }

  /** Tokens signed so far. */
  get issued(): number {
    return this.#issued;
  }

  /** Resolves once the signing key is ready. */
  get ready(): Promise<unknown> {
    return (this.#keys[0] as SigningKeySource).ready;
  }

  get jwks() {
    return { keys: this.#keys.map((key) => key.get().jwk) };
  }

  get refreshInSeconds(): number | undefined {
    return this.#settings.refreshInSeconds;
  }

  setTokenLifetime(seconds: number, refreshInSeconds?: number): void {
    assertPositive('tokenLifetimeSeconds', seconds);
    assertPositive('refreshInSeconds', refreshInSeconds);
    this.#settings.tokenLifetimeSeconds = seconds;
    this.#settings.refreshInSeconds = refreshInSeconds;
    this.#handedOut.clear();
  }

  /** Signs with a new key from now on; tokens signed with the old one stay valid, as in a real rollover. */
  async rotateKey(): Promise<void> {
    this.#keys.unshift(await newSigningKey());
  }

  issuerOf(tenantId: string, version: 1 | 2 = this.#settings.tokenVersion): string {
    return `${this.#settings.url}/${tenantId}/${version === 2 ? 'v2.0' : ''}`;
  }

  /** `iss` of external workload tokens, e.g. from Kubernetes. */
  get federatedIssuer(): string {
    return `${this.#settings.url}/federated`;
  }

  /** An external workload token, signed with the same key. */
  signFederated(claims: Readonly<Record<string, unknown>>, expiresInSeconds: number): string {
    const seconds = this.now / 1000;
    const times = { iat: Math.floor(seconds), nbf: Math.floor(seconds), exp: seconds + expiresInSeconds };
    return signToken({ iss: this.federatedIssuer, ...times, ...claims }, this.#signingKey);
  }

  /** A token for an answer: the last one if the issuer is set to repeat it, otherwise a new one. */
  issue(principal: EntraPrincipal, details: TokenDetails): IssuedToken {
    if (!this.#settings.sameToken) return this.sign(principal, details);
    const { fresh, ...rest } = details;
    const key = JSON.stringify([principal.objectId, rest]);
    const last = this.#handedOut.get(key);
    const usable = last !== undefined && !fresh && !this.isRevoked(last.claims);
    if (usable && last.claims.exp * 1000 > this.now) return last;
    const issued = this.sign(principal, details);
    this.#handedOut.set(key, issued);
    return issued;
  }

  sign(principal: EntraPrincipal, details: TokenDetails): IssuedToken {
    const claims = this.#claims(principal, details);
    this.#issued += 1;
    if (isRevocable(claims)) this.#revocable.push(claims);
    return { token: signToken(claims, this.#signingKey), claims };
  }

  /** OpenID Connect Core section 2. */
  signIdToken(user: UserAccount, details: { clientId: string; tenantId: string; nonce?: string | undefined }): string {
    const start = Math.floor(this.now / 1000);
    const claims = {
      aud: details.clientId,
      iss: this.issuerOf(details.tenantId, 2),
      iat: start,
      nbf: start,
      exp: start + HOUR_SECONDS,
      name: user.displayName,
      preferred_username: user.userName,
      oid: user.objectId,
      sub: user.objectId,
      tid: details.tenantId,
      ...(details.nonce === undefined ? {} : { nonce: details.nonce }),
      ver: '2.0',
    };
    return signToken(claims, this.#signingKey);
  }

  /** Revokes one token. */
  revokeToken(claims: Pick<TokenClaims, 'uti'>): void {
    this.#revoked.add(claims.uti);
  }

  /** Revokes a user's revocable tokens; ordinary ones stay valid until they expire, as in Entra. */
  revokeTokensOf(objectId: string): void {
    for (const claims of this.#revocable) if (claims.oid === objectId) this.#revoked.add(claims.uti);
  }

  isRevoked(claims: Pick<TokenClaims, 'uti'>): boolean {
    return this.#revoked.has(claims.uti);
  }

  get #signingKey(): SigningKey {
    return (this.#keys[0] as SigningKeySource).get();
  }

  #lifetimeOf(principal: EntraPrincipal, revocable: boolean): number {
    if (revocable) return this.#settings.caeTokenLifetimeSeconds;
    const usual = principal.kind === 'managed-identity' ? DAY_SECONDS : HOUR_SECONDS;
    return this.#settings.tokenLifetimeSeconds ?? usual;
  }

  #claims(principal: EntraPrincipal, details: TokenDetails): TokenClaims {
    const version = this.#settings.tokenVersion;
    const revocable = details.capabilities?.includes('cp1') ?? false;
    const lifetime = details.expiresInSeconds ?? this.#lifetimeOf(principal, revocable);
    const start = Math.floor(this.now / 1000);
    const exact = Math.abs(lifetime) < WHOLE_SECONDS_FROM || !Number.isInteger(lifetime);
    return {
      aud: details.audience,
      iss: this.issuerOf(details.tenantId, version),
      iat: start,
      nbf: Math.min(start, start + lifetime),
      exp: exact ? Math.round(this.now + lifetime * 1000) / 1000 : start + lifetime,
      ...(version === 1 ? { idp: this.issuerOf(principal.tenantId, 1) } : {}),
      ...clientClaims(
        version,
        principal.kind === 'user' ? details.clientId : principal.clientId,
        details.authentication,
      ),
      ...(principal.kind === 'user' ? userClaims(principal, version, details) : { idtyp: 'app' }),
      ...(revocable ? { xms_cc: details.capabilities } : {}),
      ...(principal.kind === 'managed-identity' ? { xms_mirid: principal.resourceId } : {}),
      oid: principal.objectId,
      sub: principal.objectId,
      tid: details.tenantId,
      uti: randomBytes(16).toString('base64url'),
      ver: version === 1 ? '1.0' : '2.0',
      ...details.claims,
    };
  }
}

function clientClaims(
  version: 1 | 2,
  clientId = AZURE_CLI_CLIENT_ID,
  authentication: ClientAuthentication = 'secret',
): Record<string, string> {
  const proof = { none: '0', secret: '1', assertion: '2' }[authentication];
  return version === 1 ? { appid: clientId, appidacr: proof } : { azp: clientId, azpacr: proof };
}

function userClaims(
  user: UserAccount,
  version: 1 | 2,
  details: Pick<TokenDetails, 'scopes' | 'amr'>,
): Record<string, unknown> {
  const { scopes = ['user_impersonation'], amr = ['pwd'] } = details;
  return {
    name: user.displayName,
    upn: user.userName,
    scp: scopes.join(' '),
    amr,
    ...(version === 1 ? { unique_name: user.userName, acr: '1' } : { preferred_username: user.userName }),
  };
}

/** True for a token of continuous access evaluation. */
export function isRevocable(claims: TokenClaims): boolean {
  return Array.isArray(claims.xms_cc) && claims.xms_cc.includes('cp1');
}

function assertPositive(name: string, value: number | undefined): void {
  if (value !== undefined && !(value > 0 && Number.isFinite(value))) {
    throw new RangeError(`${name} is ${value}; it must be a number of seconds greater than 0`);
  }
}

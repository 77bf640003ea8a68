import { randomBytes } from 'node:crypto';
import { AZURE_CLI_CLIENT_ID, type EntraPrincipal } from './directory.js';
import { makeSigningKey, type SigningKey, signToken } from './json-web-token.js';
import type { TokenClaims } from './verification.js';

/** From this life on tokens are dated in whole seconds, as Entra dates them; shorter ones to the millisecond. */
const WHOLE_SECONDS_FROM = 60;
const HOUR_SECONDS = 3600;
/** Tokens of managed identities live about a day. */
const DAY_SECONDS = 86_400;

/** None for a public client. */
export type ClientAuthentication = 'none' | 'secret' | 'assertion';

export interface TokenRequestDetails {
  /** `aud` of the token. */
  audience: string;
  tenantId: string;
  /** Client id of the application that asks, where the token is about a person. */
  clientId?: string | undefined;
  /** How that application proved who it is; `appidacr` of the token. */
  authentication?: ClientAuthentication | undefined;
  /** Delegated permissions (`scp`); only in tokens about a person. */
  scopes?: readonly string[] | undefined;
  /** Life in seconds, instead of the issuer's own setting. */
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
  refreshInSeconds: number | undefined;
  sameToken: boolean;
  tokenVersion: 1 | 2;
  key: SigningKey;
}

/** Signs access tokens; knows how long they live and whether the same one is given again. */
export class TokenIssuer {
  readonly #settings: IssuerSettings;
  readonly #keys: SigningKey[];
  readonly #handedOut = new Map<string, IssuedToken>();
  #issued = 0;

  constructor(settings: IssuerSettings) {
    this.#settings = { ...settings };
    this.#keys = [settings.key];
    assertPositive('tokenLifetimeSeconds', settings.tokenLifetimeSeconds);
    assertPositive('refreshInSeconds', settings.refreshInSeconds);
  }

  get now(): number {
    return this.#settings.now();
  }

  /** Tokens signed so far. */
  get issued(): number {
    return this.#issued;
  }

  get jwks() {
    return { keys: this.#keys.map((key) => key.jwk) };
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

  /** Signs with a new key from now on; tokens of the old one stay valid, as in a real roll-over. */
  async rotateKey(): Promise<void> {
    this.#keys.unshift(await makeSigningKey());
  }

  issuerOf(tenantId: string, version: 1 | 2 = this.#settings.tokenVersion): string {
    return `${this.#settings.url}/${tenantId}/${version === 2 ? 'v2.0' : ''}`;
  }

  /** `iss` of the tokens that stand for a workload elsewhere, e.g. in Kubernetes. */
  get federatedIssuer(): string {
    return `${this.#settings.url}/federated`;
  }

  /** A token of that other place, signed with the same key. */
  signFederated(claims: Readonly<Record<string, unknown>>, expiresInSeconds: number): string {
    const seconds = this.now / 1000;
    const times = { iat: Math.floor(seconds), nbf: Math.floor(seconds), exp: seconds + expiresInSeconds };
    return signToken({ iss: this.federatedIssuer, ...times, ...claims }, this.#signingKey);
  }

  /** A token for an answer: the same again where that is how the issuer is set, otherwise a new one. */
  issue(principal: EntraPrincipal, details: TokenRequestDetails): IssuedToken {
    if (!this.#settings.sameToken) return this.sign(principal, details);
    const key = JSON.stringify([principal.objectId, details]);
    const last = this.#handedOut.get(key);
    if (last !== undefined && last.claims.exp * 1000 > this.now) return last;
    const issued = this.sign(principal, details);
    this.#handedOut.set(key, issued);
    return issued;
  }

  sign(principal: EntraPrincipal, details: TokenRequestDetails): IssuedToken {
    const claims = this.#claims(principal, details);
    this.#issued += 1;
    return { token: signToken(claims, this.#signingKey), claims };
  }

  get #signingKey(): SigningKey {
    return this.#keys[0] as SigningKey;
  }

  #claims(principal: EntraPrincipal, details: TokenRequestDetails): TokenClaims {
    const version = this.#settings.tokenVersion;
    const usual = principal.kind === 'managed-identity' ? DAY_SECONDS : HOUR_SECONDS;
    const lifetime = details.expiresInSeconds ?? this.#settings.tokenLifetimeSeconds ?? usual;
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
      ...(principal.kind === 'user' ? userClaims(principal, version, details.scopes) : { idtyp: 'app' }),
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
  user: Extract<EntraPrincipal, { kind: 'user' }>,
  version: 1 | 2,
  scopes: readonly string[] = ['user_impersonation'],
): Record<string, unknown> {
  return {
    name: user.displayName,
    upn: user.userName,
    scp: scopes.join(' '),
    ...(version === 1 ? { unique_name: user.userName, acr: '1', amr: ['pwd'] } : { preferred_username: user.userName }),
  };
}

function assertPositive(name: string, value: number | undefined): void {
  if (value !== undefined && !(value > 0 && Number.isFinite(value))) {
    throw new RangeError(`${name} is ${value}; it must be a number of seconds greater than 0`);
  }
}

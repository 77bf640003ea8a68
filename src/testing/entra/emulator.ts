import { randomUUID } from 'node:crypto';
import { OBJECT, type OptionCheck, type OptionNames, requireKnownOptions, TEXT } from '../known-options.js';
import { credentialFor, type EntraCredential } from './credential.js';
import type { DeviceCodes, DeviceSignIn } from './device-codes.js';
import {
  type AppOptions,
  type AppRegistration,
  AZURE_CLI_CLIENT_ID,
  type Directory,
  type EntraPrincipal,
  type ManagedIdentity,
  type ManagedIdentityOptions,
  type UserAccount,
  type UserOptions,
} from './directory.js';
import type { ActiveFault, Fault } from './faults.js';
import type { JsonWebKeySet } from './json-web-token.js';
import type { ManagedIdentityEndpoints, ManagedIdentityPlatform } from './managed-identity/endpoints.js';
import type { RefreshTokens } from './refresh-tokens.js';
import type { EntraRequest } from './request.js';
import { type EntraService, openIdConfiguration } from './service.js';
import { type SignInResult, signInWithoutBrowser } from './sign-in/browser.js';
import type { TokenIssuer } from './token-issuer.js';
import { type TokenClaims, type TokenRefusal, type VerifyOptions, verifyAccessToken } from './verification.js';

/** MSAL `auth` options (see `entra.authority`) that select the emulator instead of Microsoft's service. */
export interface EntraAuthority {
  authority: string;
  knownAuthorities: string[];
  authorityMetadata: string;
}

/** Settings of a token from `entra.issueToken`. */
export interface IssueTokenOptions {
  /** Subject: an application or user, a client id or a user name. Default: the default application. */
  principal?: EntraPrincipal | string | undefined;
  /** Default `https://database.windows.net`. */
  audience?: string | undefined;
  /** Lifetime in seconds; negative for a token that has already expired. Default: the emulator's setting. */
  expiresInSeconds?: number | undefined;
  /** Claims to add or replace. */
  claims?: Readonly<Record<string, unknown>> | undefined;
}

/** Settings of a token from `entra.issueFederatedToken`. */
export interface FederatedTokenOptions {
  /** `sub`, e.g. `system:serviceaccount:shop:api`. */
  subject: string;
  /** Default `api://AzureADTokenExchange`. */
  audience?: string | undefined;
  /** Lifetime in seconds; negative for a token that has already expired. Default 3600. */
  expiresInSeconds?: number | undefined;
  /** Claims to add or replace, e.g. another `iss`. */
  claims?: Readonly<Record<string, unknown>> | undefined;
}

const SECONDS: OptionCheck = { is: Number.isFinite, must: 'a number of seconds' };

const TOKEN_OPTIONS: OptionNames<IssueTokenOptions> = {
  principal: {
    is: (value) =>
      typeof value === 'string' || (OBJECT.is(value) && typeof (value as EntraPrincipal).tenantId === 'string'),
    must: 'an application, a user, a client id or a user name',
  },
  audience: TEXT,
  expiresInSeconds: SECONDS,
  claims: OBJECT,
};
const FEDERATED_TOKEN_OPTIONS: OptionNames<FederatedTokenOptions> = {
  subject: TEXT,
  audience: TEXT,
  expiresInSeconds: SECONDS,
  claims: OBJECT,
};

/** The client capability that declares support for claims challenges. */
const CAE_CLAIMS = JSON.stringify({ access_token: { xms_cc: { values: ['cp1'] } } });

/** A running emulator, created by `startEntraEmulator`. */
export class EntraEmulator implements AsyncDisposable {
  /** Its address, e.g. `http://127.0.0.1:49152`. */
  readonly url: string;
  /** The certificate authority to trust, PEM; undefined over http. */
  readonly ca: string | undefined;
  /** Every token request so far, oldest first. Excludes discovery, sign-in pages and IMDS probes. */
  readonly requests: readonly EntraRequest[];
  /** The default user. */
  readonly user: UserAccount;
  readonly #directory: Directory;
  readonly #issuer: TokenIssuer;
  readonly #platform: ManagedIdentityPlatform;
  readonly #service: EntraService;
  readonly #refreshTokens: RefreshTokens;
  readonly #deviceCodes: DeviceCodes;
  readonly #clientId: string;
  readonly #close: () => Promise<void>;

  /** @internal */
  constructor(parts: {
    url: string;
    ca: string | undefined;
    issuer: TokenIssuer;
    directory: Directory;
    platform: ManagedIdentityPlatform;
    service: EntraService;
    refreshTokens: RefreshTokens;
    deviceCodes: DeviceCodes;
    app: AppRegistration;
    user: UserAccount;
    close: () => Promise<void>;
  }) {
    this.url = parts.url;
    this.ca = parts.ca;
    this.requests = parts.service.requests;
    this.user = parts.user;
    this.#issuer = parts.issuer;
    this.#directory = parts.directory;
    this.#platform = parts.platform;
    this.#service = parts.service;
    this.#refreshTokens = parts.refreshTokens;
    this.#deviceCodes = parts.deviceCodes;
    this.#clientId = parts.app.clientId;
    this.#close = parts.close;
  }

  /** The home tenant. */
  get tenantId(): string {
    return this.#directory.homeTenantId;
  }

  /** Client id of the default application. */
  get clientId(): string {
    return this.#clientId;
  }

  /** Secret of the default application. */
  get clientSecret(): string {
    return this.#directory.app(this.clientId)?.clientSecret ?? '';
  }

  /** `iss` of its tokens. */
  get issuer(): string {
    return this.#issuer.issuerOf(this.tenantId);
  }

  /** The public signing keys. */
  get jwks(): JsonWebKeySet {
    return this.#issuer.jwks;
  }

  /** How many tokens were issued, `issueToken` included. */
  get tokensIssued(): number {
    return this.#issuer.issued;
  }

  /**
   * For MSAL's `auth` options. The authority's host does not exist, so no request can reach Microsoft by mistake; the
   * metadata points to the emulator. MSAL refuses an authority over plain http, but accepts such metadata.
   *
   * @example
   * new ConfidentialClientApplication({
   *   auth: { clientId: entra.clientId, clientSecret: entra.clientSecret, ...entra.authority },
   * });
   */
  get authority(): EntraAuthority {
    const metadata = openIdConfiguration({ url: this.url, issuer: this.#issuer }, '{tenantid}', 2);
    const host = this.url.startsWith('https:') ? new URL(this.url).host : 'entra-emulator.invalid';
    return {
      authority: `https://${host}/${this.tenantId}`,
      knownAuthorities: [host],
      authorityMetadata: JSON.stringify(metadata),
    };
  }

  /**
   * A ready-made credential for an application (with its secret), a user (with the password and Azure CLI's client id) or
   * a managed identity (through IMDS). Every call makes a request to the emulator.
   *
   * @throws TypeError for an unknown client id or user name.
   * @example
   * const { token } = await entra.credential().getToken('https://database.windows.net/.default');
   */
  credential(principal: EntraPrincipal | string = this.clientId): EntraCredential {
    const found = this.#directory.principal(principal);
    return credentialFor(this.ca, (scope, { tenantId = found.tenantId, claims, enableCae }) => {
      if (found.kind === 'managed-identity') {
        const resource = scope.replace(/\/\.default$/, '');
        const query = new URLSearchParams({ 'api-version': '2018-02-01', resource, client_id: found.clientId });
        return { url: `${this.managedIdentity.imds.url}?${query}`, headers: { Metadata: 'true' } };
      }
      const form = new URLSearchParams({ ...this.#grantOf(found), scope });
      const wanted = claims ?? (enableCae ? CAE_CLAIMS : undefined);
      if (wanted !== undefined) form.set('claims', wanted);
      return { url: `${this.url}/${tenantId}/oauth2/v2.0/token`, form };
    });
  }

  /**
   * Issues a signed token without a request.
   *
   * @example
   * const expired = entra.issueToken({ expiresInSeconds: -60 });
   */
  issueToken(options: IssueTokenOptions = {}): string {
    requireKnownOptions('issueToken', options, TOKEN_OPTIONS);
    const principal = this.#directory.principal(options.principal ?? this.clientId);
    const { token } = this.#issuer.sign(principal, {
      audience: options.audience ?? 'https://database.windows.net',
      tenantId: principal.tenantId,
      expiresInSeconds: options.expiresInSeconds,
      claims: options.claims,
    });
    return token;
  }

  /**
   * Issues a workload token as Kubernetes or GitHub would: the assertion of a federated credential. The application needs
   * a `federatedCredentials` entry with the same subject.
   *
   * @example
   * const app = entra.addApp({ federatedCredentials: [{ subject: 'system:serviceaccount:shop:api' }] });
   * await writeFile(tokenFile, entra.issueFederatedToken({ subject: 'system:serviceaccount:shop:api' }));
   */
  issueFederatedToken(options: FederatedTokenOptions): string {
    requireKnownOptions('issueFederatedToken', options, FEDERATED_TOKEN_OPTIONS);
    const { subject, audience = 'api://AzureADTokenExchange', expiresInSeconds = 3600 } = options;
    return this.#issuer.signFederated({ sub: subject, aud: audience, ...options.claims }, expiresInSeconds);
  }

  /**
   * Checks a token as a resource server would. Returns the claims, or the first error.
   *
   * @example
   * const result = entra.verify(token, { audience: 'https://database.windows.net' });
   * if (result.error !== undefined) console.log('refused:', result.error);
   */
  verify(token: string, options: VerifyOptions = {}): TokenClaims | TokenRefusal {
    const issuers = this.#directory.tenants.flatMap((tenant) => [
      this.#issuer.issuerOf(tenant, 1),
      this.#issuer.issuerOf(tenant, 2),
    ]);
    const claims = verifyAccessToken(token, {
      jwks: this.jwks,
      issuers,
      audience: options.audience,
      now: options.now ?? this.#issuer.now,
    });
    if (claims.error === undefined && this.#issuer.isRevoked(claims)) return { error: 'revoked', claims };
    return claims;
  }

  /**
   * Revokes one token at once: `verify` returns `revoked`, so the SQL emulator refuses it.
   *
   * @throws TypeError for a token that is not the emulator's.
   * @example
   * entra.revokeToken(entra.issueToken());
   */
  revokeToken(token: string): void {
    const claims = this.verify(token);
    if (claims.error !== undefined) throw new TypeError(`This token cannot be revoked: ${claims.error}`);
    this.#issuer.revokeToken(claims);
  }

  /**
   * Ends all sessions of a user, as an administrator or a password change does: refresh tokens are refused with
   * AADSTS50173, and CAE access tokens (`cp1`) are revoked. Ordinary access tokens stay valid until they expire.
   */
  revokeSessions(user: UserAccount): void {
    this.#refreshTokens.revokeAllOf(user);
    this.#issuer.revokeTokensOf(user.objectId);
  }

  /**
   * Device code sign-ins, oldest first.
   *
   * @example
   * entra.deviceSignIns.at(-1)?.approve(ada);
   */
  get deviceSignIns(): readonly DeviceSignIn[] {
    return this.#deviceCodes.signIns;
  }

  /**
   * Signs a user in without a browser: submits the sign-in form over HTTP and follows the redirects back to the
   * application. Pass it where the application would open a browser.
   *
   * @example
   * await client.acquireTokenInteractive({ scopes, openBrowser: (url) => entra.signIn(url, ada) });
   * await entra.signIn(url, 'cancel'); // the user cancels
   */
  async signIn(authorizeUrl: string, user: UserAccount | 'cancel' = this.user): Promise<SignInResult> {
    const fields: Record<string, string> =
      user === 'cancel'
        ? { decision: 'cancel' }
        : { decision: 'sign-in', username: user.userName, password: user.password };
    return signInWithoutBrowser(authorizeUrl, fields, this.ca);
  }

  /**
   * Makes matching requests fail from now on. Requests that are already waiting are not affected.
   *
   * @example
   * entra.fail({ status: 429, retryAfter: 7, count: 1 });
   * entra.fail({ hang: true, when: (request) => request.clientId === app.clientId });
   */
  fail(fault: Fault): ActiveFault {
    return this.#service.faults.add(fault);
  }

  /**
   * For use between tests: ends all faults and empties `requests`. Applications, users, keys and token lifetimes are kept.
   */
  reset(): void {
    this.heal();
    this.#service.requests.length = 0;
  }

  /** Ends all faults. A request that already hangs stays open until its client gives up. */
  heal(): void {
    this.#service.faults.clear();
  }

  /**
   * Sets the lifetime of new tokens, and the `refresh_in` of the answers, in seconds.
   *
   * @throws RangeError for a number that is not greater than 0.
   * @example
   * entra.setTokenLifetime(3600, 1800);
   */
  setTokenLifetime(seconds: number, refreshInSeconds?: number): void {
    this.#issuer.setTokenLifetime(seconds, refreshInSeconds);
  }

  /** Signs with a new key from now on; existing tokens stay valid. */
  async rotateSigningKey(): Promise<void> {
    await this.#issuer.rotateKey();
  }

  /**
   * Registers an application; missing settings are generated.
   *
   * @example
   * const app = entra.addApp({ secretExpiresOn: new Date(0) });
   * // client credentials with app.clientId and app.clientSecret are refused with AADSTS7000222
   */
  addApp(options: AppOptions = {}): AppRegistration {
    return this.#directory.addApp(options);
  }

  /**
   * Changes an application, e.g. rotates its secret.
   *
   * @throws TypeError for an unknown client id.
   * @example
   * entra.updateApp(entra.clientId, { clientSecret: 'another' }); // the old one: AADSTS7000215
   */
  updateApp(clientId: string, changes: AppOptions): AppRegistration {
    return this.#directory.updateApp(clientId, changes);
  }

  /** Removes an application from the directory; its requests are refused with AADSTS700016. */
  removeApp(clientId: string): void {
    this.#directory.removeApp(clientId);
  }

  /**
   * Registers a user; missing settings are generated.
   *
   * @example
   * const ada = entra.addUser({ userName: 'ada@contoso.example' });
   * entra.issueToken({ principal: ada });
   */
  addUser(options: UserOptions = {}): UserAccount {
    return this.#directory.addUser(options);
  }

  /**
   * Changes a user, e.g. `{ mfaRequired: true }` or `{ disabled: true }`.
   *
   * @throws TypeError for an unknown user name.
   */
  updateUser(userName: string, changes: UserOptions): UserAccount {
    return this.#directory.updateUser(userName, changes);
  }

  /** Adds another tenant with the same applications and users as the home tenant. */
  addTenant(tenantId: string = randomUUID()): string {
    this.#directory.addTenant(tenantId);
    return tenantId;
  }

  /** Registers a resource (audience) besides Microsoft's and the applications' own; unknown ones get AADSTS500011. */
  addResource(uri: string): void {
    this.#directory.addResource(uri);
  }

  /**
   * The managed identity endpoints: their addresses and the environment variables that point to them.
   *
   * @example
   * spawn(process.execPath, ['app.js'], { env: entra.managedIdentity.appService.env });
   */
  get managedIdentity(): ManagedIdentityEndpoints {
    return this.#platform.endpoints;
  }

  /** The identity used when a request names none; undefined after `removeSystemAssignedIdentity`. */
  get systemAssignedIdentity(): ManagedIdentity | undefined {
    return this.#directory.systemAssignedIdentity;
  }

  /** Removes the system-assigned identity; requests that do not name an identity then fail. */
  removeSystemAssignedIdentity(): void {
    this.#directory.systemAssignedIdentity = undefined;
  }

  /**
   * Assigns another managed identity, which requests select by client, object or resource id.
   *
   * @example
   * const identity = entra.addManagedIdentity();
   * const env = { ...entra.managedIdentity.imds.env, AZURE_CLIENT_ID: identity.clientId };
   */
  addManagedIdentity(options: ManagedIdentityOptions = {}): ManagedIdentity {
    return this.#directory.addManagedIdentity(options);
  }

  /** Stops the emulator and closes the connections of unanswered requests. */
  async close(): Promise<void> {
    await this.#close();
  }

  #grantOf(principal: AppRegistration | UserAccount): Record<string, string> {
    if (principal.kind === 'user') {
      const { userName: username, password } = principal;
      return { grant_type: 'password', client_id: AZURE_CLI_CLIENT_ID, username, password };
    }
    const { clientId } = principal;
    const secret = this.#directory.app(clientId)?.clientSecret ?? '';
    return { grant_type: 'client_credentials', client_id: clientId, client_secret: secret };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

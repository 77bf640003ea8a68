import { randomUUID } from 'node:crypto';
import type http from 'node:http';
import { makeCertificate, makeCertificateAuthority } from '../certificate.js';
import { credentialFor, type EntraCredential } from './credential.js';
import {
  type AppOptions,
  type AppRegistration,
  AZURE_CLI_CLIENT_ID,
  Directory,
  type EntraPrincipal,
  type UserAccount,
  type UserOptions,
} from './directory.js';
import { type ActiveFault, type Fault, Faults, type Misfortune } from './faults.js';
import { clientCredentials } from './grants/client-credentials.js';
import { type HttpAnswer, type HttpListener, listen, readBody, send } from './http-listener.js';
import { type JsonWebKeySet, sharedSigningKey } from './json-web-token.js';
import { Refusal, refuse } from './refusal.js';
import type { EntraEndpoint, EntraRequest } from './request.js';
import type { TokenAnswer } from './token-answer.js';
import { TokenIssuer } from './token-issuer.js';
import { basicCredentials, required, type TokenRequest } from './token-request.js';
import { type TokenClaims, type TokenRefusal, type VerifyOptions, verifyAccessToken } from './verification.js';

export interface EntraEmulatorOptions {
  /** Life of access tokens, seconds; a fraction is allowed. Default 3600. */
  tokenLifetimeSeconds?: number | undefined;
  /** `refresh_in` of answers, seconds. Default: none, as for ordinary one-hour tokens. */
  refreshInSeconds?: number | undefined;
  /** Answer with the same token again until it has expired, as a managed identity endpoint does. Default false. */
  sameToken?: boolean | undefined;
  /** Form of the claims: 1 (`appid`, `upn`; what Azure SQL gets, the default) or 2 (`azp`, `preferred_username`). */
  tokenVersion?: 1 | 2 | undefined;
  /** Serve https: `true` with an own certificate authority (`entra.ca`), or with a certificate of yours. */
  https?: boolean | { cert: string; key: string; ca?: string } | undefined;
  /** Address to listen on. Default `127.0.0.1`. */
  host?: string | undefined;
  /** Port to listen on. Default: any free one. */
  port?: number | undefined;
  /** Tenant id. Default: a random one. */
  tenantId?: string | undefined;
  /** The default application; what is not given is made up. */
  app?: AppOptions | undefined;
  /** The clock, epoch ms. Default `Date.now`. */
  now?: (() => number) | undefined;
}

/** What MSAL needs in `auth` to use the emulator instead of Microsoft's service. */
export interface EntraAuthority {
  authority: string;
  knownAuthorities: string[];
  authorityMetadata: string;
}

export interface IssueTokenOptions {
  /** Who it is about: an application or user, a client id or a user name. Default: the default application. */
  principal?: EntraPrincipal | string | undefined;
  /** Default `https://database.windows.net`. */
  audience?: string | undefined;
  /** Life in seconds; negative for a token that has already expired. Default: that of the emulator. */
  expiresInSeconds?: number | undefined;
  /** Claims to add or replace. */
  claims?: Readonly<Record<string, unknown>> | undefined;
}

export interface FederatedTokenOptions {
  /** `sub`, e.g. `system:serviceaccount:shop:api`. */
  subject: string;
  /** Default `api://AzureADTokenExchange`. */
  audience?: string | undefined;
  /** Life in seconds; negative for a token that has already expired. Default 3600. */
  expiresInSeconds?: number | undefined;
  /** Claims to add or replace, e.g. another `iss`. */
  claims?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Starts a local stand-in for Microsoft Entra ID: real HTTP, real signed tokens, any life you like, any fault you need.
 * It knows one tenant with one application and its secret; add more with `addApp` and `addUser`.
 *
 * @throws RangeError for a life that is not greater than 0; the error of `listen` where the port is taken.
 * @example
 * await using entra = await startEntraEmulator({ tokenLifetimeSeconds: 2 });
 * const pool = createTokenPool({ ...server.config(), authentication: { credential: entra.credential() } });
 */
export async function startEntraEmulator(options: EntraEmulatorOptions = {}): Promise<EntraEmulator> {
  const host = options.host ?? '127.0.0.1';
  const tls = tlsFor(options.https);
  const key = await sharedSigningKey();
  let handle: (request: http.IncomingMessage, response: http.ServerResponse) => void = () => {};
  const listener = await listen({
    host,
    port: options.port ?? 0,
    tls,
    onRequest: (request, response) => handle(request, response),
  });
  const url = tls === undefined ? `http://${host}:${listener.port}` : `https://localhost:${listener.port}`;
  try {
    const issuer = new TokenIssuer({
      url,
      key,
      now: options.now ?? (() => Date.now()),
      tokenLifetimeSeconds: options.tokenLifetimeSeconds ?? 3600,
      refreshInSeconds: options.refreshInSeconds,
      sameToken: options.sameToken ?? false,
      tokenVersion: options.tokenVersion ?? 1,
    });
    const directory = new Directory(options.tenantId ?? randomUUID());
    const app = directory.addApp(options.app ?? {});
    const emulator = new EntraEmulator({ url, ca: tls?.ca, issuer, directory, app, listener });
    handle = emulator.onRequest;
    return emulator;
  } catch (error) {
    await listener.close();
    throw error;
  }
}

function tlsFor(
  https: EntraEmulatorOptions['https'],
): { cert: string; key: string; ca?: string | undefined } | undefined {
  if (https === undefined || https === false) return undefined;
  if (https !== true) return https;
  const issuer = makeCertificateAuthority({ commonName: 'Entra emulator authority' });
  const { cert, key } = makeCertificate({ commonName: 'localhost', issuer });
  return { cert, key, ca: issuer.cert };
}

/** A running emulator; made by {@link startEntraEmulator}. */
export class EntraEmulator {
  /** Where it is reached, e.g. `http://127.0.0.1:49152`. */
  readonly url: string;
  /** The certificate authority to trust, PEM; undefined over http. */
  readonly ca: string | undefined;
  /** Every request for a token so far, oldest first. Discovery and sign-in pages are not in it. */
  readonly requests: EntraRequest[] = [];
  readonly #directory: Directory;
  readonly #issuer: TokenIssuer;
  readonly #app: AppRegistration;
  readonly #listener: HttpListener;
  readonly #faults = new Faults();

  /** @internal */
  constructor(parts: {
    url: string;
    ca: string | undefined;
    issuer: TokenIssuer;
    directory: Directory;
    app: AppRegistration;
    listener: HttpListener;
  }) {
    this.url = parts.url;
    this.ca = parts.ca;
    this.#issuer = parts.issuer;
    this.#directory = parts.directory;
    this.#app = parts.app;
    this.#listener = parts.listener;
  }

  /** The home tenant. */
  get tenantId(): string {
    return this.#directory.homeTenantId;
  }

  /** Client id of the default application. */
  get clientId(): string {
    return this.#app.clientId;
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
   * For MSAL's `auth` options. The authority's own host does not exist, so that nothing can reach Microsoft by mistake;
   * the metadata leads to the emulator. MSAL refuses an authority over plain http, but takes such metadata.
   *
   * @example
   * new ConfidentialClientApplication({
   *   auth: { clientId: entra.clientId, clientSecret: entra.clientSecret, ...entra.authority },
   * });
   */
  get authority(): EntraAuthority {
    const metadata = this.#openIdConfiguration('{tenantid}', 2);
    const host = this.url.startsWith('https:') ? new URL(this.url).host : 'entra-emulator.invalid';
    return {
      authority: `https://${host}/${this.tenantId}`,
      knownAuthorities: [host],
      authorityMetadata: JSON.stringify(metadata),
    };
  }

  /**
   * A ready-made credential for an application (its secret) or a user (the password, through Azure CLI's client id). It
   * asks the emulator on every call.
   *
   * @throws TypeError where nobody has that client id or user name.
   * @example
   * const { token } = await entra.credential().getToken('https://database.windows.net/.default');
   */
  credential(principal: EntraPrincipal | string = this.clientId): EntraCredential {
    const found = this.#directory.principal(principal);
    const parameters = (): Record<string, string> => {
      if (found.kind === 'user') {
        return {
          grant_type: 'password',
          client_id: AZURE_CLI_CLIENT_ID,
          username: found.userName,
          password: found.password,
        };
      }
      const secret = this.#directory.app(found.clientId)?.clientSecret ?? '';
      return { grant_type: 'client_credentials', client_id: found.clientId, client_secret: secret };
    };
    return credentialFor({ url: this.url, ca: this.ca, tenantId: found.tenantId, parameters });
  }

  /**
   * A signed token without a request.
   *
   * @example
   * const expired = entra.issueToken({ expiresInSeconds: -60 });
   */
  issueToken(options: IssueTokenOptions = {}): string {
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
   * The token of a workload elsewhere, as Kubernetes or GitHub issue them, with the emulator in their part: what a
   * federated credential takes as its assertion. The application needs a `federatedCredentials` entry with the subject.
   *
   * @example
   * const app = entra.addApp({ federatedCredentials: [{ subject: 'system:serviceaccount:shop:api' }] });
   * await writeFile(tokenFile, entra.issueFederatedToken({ subject: 'system:serviceaccount:shop:api' }));
   */
  issueFederatedToken(options: FederatedTokenOptions): string {
    const { subject, audience = 'api://AzureADTokenExchange', expiresInSeconds = 3600 } = options;
    return this.#issuer.signFederated({ sub: subject, aud: audience, ...options.claims }, expiresInSeconds);
  }

  /**
   * Checks a token as a resource server would; gives the claims, or the first flaw.
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
    return verifyAccessToken(token, {
      jwks: this.jwks,
      issuers,
      audience: options.audience,
      now: options.now ?? this.#issuer.now,
    });
  }

  /**
   * Makes answers go wrong from now on. Requests that already wait are not touched.
   *
   * @example
   * entra.fail({ status: 429, retryAfter: 7, count: 1 });
   * entra.fail({ hang: true, when: (request) => request.clientId === app.clientId });
   */
  fail(fault: Fault): ActiveFault {
    return this.#faults.add(fault);
  }

  /** Ends all faults. A request that already hangs goes on hanging: its client has to give up. */
  heal(): void {
    this.#faults.clear();
  }

  /**
   * Life of the tokens issued from now on, seconds, and `refresh_in` of the answers.
   *
   * @throws RangeError for a number that is not greater than 0.
   */
  setTokenLifetime(seconds: number, refreshInSeconds?: number): void {
    this.#issuer.setTokenLifetime(seconds, refreshInSeconds);
  }

  /** Signs with a new key from now on; tokens signed before stay valid. */
  async rotateSigningKey(): Promise<void> {
    await this.#issuer.rotateKey();
  }

  /**
   * Registers an application; what is not given is made up.
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
   * @throws TypeError where no application has that client id.
   * @example
   * entra.updateApp(entra.clientId, { clientSecret: 'another' }); // the old one: AADSTS7000215
   */
  updateApp(clientId: string, changes: AppOptions): AppRegistration {
    return this.#directory.updateApp(clientId, changes);
  }

  /** Takes an application out of the directory: its requests are refused with AADSTS700016. */
  removeApp(clientId: string): void {
    this.#directory.removeApp(clientId);
  }

  /**
   * Registers a person; what is not given is made up.
   *
   * @example
   * const ada = entra.addUser({ userName: 'ada@contoso.example' });
   * entra.issueToken({ principal: ada });
   */
  addUser(options: UserOptions = {}): UserAccount {
    return this.#directory.addUser(options);
  }

  /** Makes another tenant known; its applications and users are those of the home tenant. */
  addTenant(tenantId: string = randomUUID()): string {
    this.#directory.addTenant(tenantId);
    return tenantId;
  }

  /** Makes a resource (audience) known besides Microsoft's own and the applications'; others get AADSTS500011. */
  addResource(uri: string): void {
    this.#directory.addResource(uri);
  }

  /** Stops; requests without an answer see their connection close. */
  async close(): Promise<void> {
    await this.#listener.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** @internal */
  readonly onRequest = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    this.#serve(request, response).catch(() => response.destroy());
  };

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.url);
    const route = routeOf(url.pathname);
    const form = new URLSearchParams(request.method === 'POST' ? await readBody(request) : url.searchParams);
    const record = describe(route, form, request, this.#issuer.now);
    if (RECORDED.has(route.endpoint)) this.requests.push(record);

    const misfortune = await this.#faults.strike(record);
    if (misfortune?.kind === 'hang') return;
    if (misfortune?.kind === 'reset') {
      request.socket.resetAndDestroy();
      return;
    }
    const answer =
      misfortune === undefined
        ? this.#answer({ route, form, authorization: request.headers.authorization }, record)
        : this.#faultAnswer(misfortune, record);
    record.status = answer.status;
    record.answeredAt = this.#issuer.now;
    send(response, { ...answer, headers: { 'client-request-id': record.correlationId, ...answer.headers } });
  }

  #answer(
    call: { route: Route; form: URLSearchParams; authorization: string | undefined },
    record: EntraRequest,
  ): HttpAnswer {
    const { route } = call;
    try {
      if (route.endpoint === 'unknown') return { status: 404 };
      const tenantId = this.#directory.tenant(route.tenant);
      if (route.endpoint === 'discovery')
        return { status: 200, body: this.#openIdConfiguration(tenantId, route.version) };
      if (route.endpoint === 'keys') return { status: 200, body: this.jwks };
      const { form, authorization } = call;
      const { version } = route;
      return {
        status: 200,
        body: grant({ form, authorization, tenantId, version, directory: this.#directory, issuer: this.#issuer }),
      };
    } catch (error) {
      if (error instanceof Refusal) return this.#refuse(error, record);
      throw error;
    }
  }

  #refuse(refusal: Refusal, record: EntraRequest): HttpAnswer {
    const traceId = randomUUID();
    record.aadsts = refusal.aadsts;
    return {
      status: refusal.status,
      headers: { 'x-ms-request-id': traceId },
      body: refusal.toBody({ traceId, correlationId: record.correlationId, now: this.#issuer.now }),
    };
  }

  #faultAnswer(fault: Extract<Misfortune, { kind: 'answer' }>, record: EntraRequest): HttpAnswer {
    const { headers } = fault;
    if (fault.body !== undefined) return { status: fault.status ?? 503, headers, body: fault.body };
    const answer = this.#refuse(refusalOf(fault, record), record);
    return { ...answer, headers: { ...answer.headers, ...headers } };
  }

  #openIdConfiguration(tenant: string, version: 1 | 2) {
    const base = `${this.url}/${tenant}`;
    const oauth = version === 2 ? `${base}/oauth2/v2.0` : `${base}/oauth2`;
    return {
      issuer: this.#issuer.issuerOf(tenant, version),
      authorization_endpoint: `${oauth}/authorize`,
      token_endpoint: `${oauth}/token`,
      device_authorization_endpoint: `${oauth}/devicecode`,
      end_session_endpoint: `${oauth}/logout`,
      jwks_uri: `${base}/discovery/v2.0/keys`,
      response_modes_supported: ['query', 'form_post'],
      response_types_supported: ['code'],
      scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
      subject_types_supported: ['pairwise'],
      id_token_signing_alg_values_supported: ['RS256'],
      token_endpoint_auth_methods_supported: ['client_secret_post', 'private_key_jwt', 'client_secret_basic'],
    };
  }
}

const RECORDED = new Set<EntraEndpoint>(['token', 'managed-identity']);

/** A fault names the refusal, or only a status: then it is what Entra says when it is overloaded or broken. */
function refusalOf(fault: Extract<Misfortune, { kind: 'answer' }>, record: EntraRequest): Refusal {
  const known = refuse(fault.aadsts ?? (fault.status === 429 ? 90055 : 90033), record.clientId, record.tenantId);
  return new Refusal(fault.status ?? known.status, known.error, known.aadsts, known.message, known.more);
}

function grant(request: TokenRequest): TokenAnswer {
  const grantType = required(request, 'grant_type');
  switch (grantType) {
    case 'client_credentials':
      return clientCredentials(request);
    default:
      throw refuse(70003, grantType);
  }
}

interface Route {
  endpoint: EntraEndpoint;
  tenant: string;
  version: 1 | 2;
}

const ROUTES: readonly [RegExp, EntraEndpoint][] = [
  [/^\/([^/]+)\/oauth2(\/v2\.0)?\/token\/?$/, 'token'],
  [/^\/([^/]+)(\/v2\.0)?\/\.well-known\/openid-configuration$/, 'discovery'],
  [/^\/([^/]+)\/discovery(\/v2\.0)?\/keys$/, 'keys'],
];

function routeOf(path: string): Route {
  for (const [pattern, endpoint] of ROUTES) {
    const match = pattern.exec(path);
    if (match !== null) return { endpoint, tenant: decodeURIComponent(match[1] ?? ''), version: match[2] ? 2 : 1 };
  }
  return { endpoint: 'unknown', tenant: '', version: 2 };
}

function describe(route: Route, form: URLSearchParams, request: http.IncomingMessage, now: number): EntraRequest {
  const correlationId = request.headers['client-request-id'] ?? form.get('client-request-id');
  return {
    time: now,
    endpoint: route.endpoint,
    grantType: form.get('grant_type') ?? '',
    tenantId: route.tenant,
    clientId: form.get('client_id') ?? basicCredentials(request.headers.authorization)?.clientId ?? '',
    scope: form.get('scope') ?? form.get('resource') ?? '',
    userName: form.get('username') ?? undefined,
    correlationId: typeof correlationId === 'string' ? correlationId : randomUUID(),
    status: undefined,
    aadsts: undefined,
    answeredAt: undefined,
  };
}

import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { cut } from '../cut.js';
import type { AuthorizationCodes } from './authorization-codes.js';
import type { DeviceCodes } from './device-codes.js';
import type { Directory } from './directory.js';
import { Faults, type Misfortune } from './faults.js';
import { startDeviceCode } from './grants/device-code.js';
import { grant } from './grants/grant.js';
import { BodyTooLargeError, type HttpAnswer, readBody, send } from './http-listener.js';
import type { ManagedIdentityPlatform } from './managed-identity/endpoints.js';
import { isImdsProbe } from './managed-identity/imds.js';
import type { RefreshTokens } from './refresh-tokens.js';
import { Refusal, refuse } from './refusal.js';
import type { EntraEndpoint, EntraRequest, RecordedRequest } from './request.js';
import { type Route, routeOf } from './routes.js';
import { authorize } from './sign-in/authorize.js';
import { devicePage } from './sign-in/device-page.js';
import type { TokenIssuer } from './token-issuer.js';
import { basicCredentials, type TokenRequest } from './token-request.js';

/** The state used to answer requests. */
export interface ServiceParts {
  url: string;
  directory: Directory;
  issuer: TokenIssuer;
  platform: ManagedIdentityPlatform;
  refreshTokens: RefreshTokens;
  deviceCodes: DeviceCodes;
  authorizationCodes: AuthorizationCodes;
}

/** One parsed request. */
interface Call {
  method: string;
  route: Route;
  headers: http.IncomingHttpHeaders;
  /** The body of a POST, otherwise the query. */
  form: URLSearchParams;
}

/** Limits memory: an emulator in a container may run for months. */
const REQUESTS_KEPT = 100_000;
const RECORDED = new Set<EntraEndpoint>(['token', 'managed-identity']);

/** The HTTP layer: parses, answers and records requests, and applies faults. */
export class EntraService {
  readonly requests: RecordedRequest[] = [];
  readonly faults = new Faults();
  readonly #parts: ServiceParts;

  constructor(parts: ServiceParts) {
    this.#parts = parts;
  }

  readonly onRequest = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    this.#serve(request, response).catch((error: unknown) => {
      // A bug in the emulator is answered as well, so that the client does not have to wait for its timeout.
      if (response.headersSent) response.destroy();
      else if (error instanceof BodyTooLargeError) {
        // The rest of the body is not read.
        response.once('finish', () => request.socket.destroy());
        send(response, {
          status: 413,
          headers: { Connection: 'close' },
          body: { error: 'invalid_request', error_description: error.message },
        });
      } else send(response, { status: 500, body: { error: 'emulator_error', error_description: String(error) } });
    });
  };

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const call = await read(request, this.#parts.url);
    const record = describe(call, this.#parts.issuer.now);
    if (RECORDED.has(record.endpoint)) {
      if (this.requests.length >= REQUESTS_KEPT) this.requests.shift();
      this.requests.push(record);
    }

    const misfortune = await this.faults.strike(record);
    if (misfortune?.kind === 'hang') return;
    if (misfortune?.kind === 'reset') {
      cut(request.socket);
      return;
    }
    await this.#parts.issuer.ready;
    const answer = misfortune === undefined ? this.#answer(call, record) : this.#faultAnswer(misfortune, record);
    record.status = answer.status;
    record.answeredAt = this.#parts.issuer.now;
    send(response, { ...answer, headers: { 'client-request-id': record.correlationId, ...answer.headers } });
  }

  #answer(call: Call, record: RecordedRequest): HttpAnswer {
    try {
      return this.#dispatch(call);
    } catch (error) {
      if (error instanceof Refusal) return this.#refuse(error, record);
      throw error;
    }
  }

  #dispatch(call: Call): HttpAnswer {
    const { directory, issuer, platform } = this.#parts;
    const { route, method, headers, form } = call;
    if (route.endpoint === 'unknown') return { status: 404, body: { error: 'not_found' } };
    if (route.managedIdentity !== undefined) {
      return platform.answer(route.managedIdentity, { method, headers, parameters: form, directory, issuer });
    }
    const tenantId = directory.tenant(route.tenant);
    const { version } = route;
    const { authorization } = headers;
    const { refreshTokens, deviceCodes, authorizationCodes } = this.#parts;
    const sessions = { refreshTokens, deviceCodes, authorizationCodes };
    const request: TokenRequest = { form, authorization, tenantId, version, directory, issuer, ...sessions };
    const postOnly = route.endpoint === 'token' || route.endpoint === 'devicecode';
    if (postOnly && method !== 'POST') throw refuse(900561, method);
    switch (route.endpoint) {
      case 'discovery':
        return { status: 200, body: openIdConfiguration(this.#parts, tenantId, version) };
      case 'keys':
        return { status: 200, body: issuer.jwks };
      case 'devicecode':
        return { status: 200, body: startDeviceCode(request) };
      case 'authorize':
        return authorize({ ...request, method });
      case 'deviceauth':
        return devicePage(request, method);
      default:
        return { status: 200, body: grant(request) };
    }
  }

  #refuse(refusal: Refusal, record: RecordedRequest): HttpAnswer {
    const traceId = randomUUID();
    record.aadsts = refusal.aadsts;
    return {
      status: refusal.status,
      headers: { 'x-ms-request-id': traceId },
      body: refusal.toBody({ traceId, correlationId: record.correlationId, now: this.#parts.issuer.now }),
    };
  }

  #faultAnswer(fault: Extract<Misfortune, { kind: 'answer' }>, record: RecordedRequest): HttpAnswer {
    const { headers, body, aadsts, status } = fault;
    if (body !== undefined) return { status: status ?? 503, headers, body };
    if (aadsts === undefined && status !== undefined && record.tenantId === '') {
      return { status, headers, body: { error: http.STATUS_CODES[status] ?? 'error' } };
    }
    const answer = this.#refuse(refusalOf(fault, record), record);
    return { ...answer, headers: { ...answer.headers, ...headers } };
  }
}

/** `//` is a path here, not the beginning of another host; what is no URL is as unknown as any other path. */
function requestedUrl(target: string, base: string): URL {
  const url = target.startsWith('/') ? `${new URL(base).origin}${target}` : target;
  return URL.canParse(url, base) ? new URL(url, base) : new URL('/', base);
}

async function read(request: http.IncomingMessage, base: string): Promise<Call> {
  const { method = 'GET', headers } = request;
  const url = requestedUrl(request.url ?? '/', base);
  const form = method === 'POST' ? new URLSearchParams(await readBody(request)) : url.searchParams;
  const route = routeOf(url.pathname);
  const isProbe = route.managedIdentity === 'imds' && isImdsProbe({ headers });
  return { method, headers, form, route: isProbe ? { ...route, endpoint: 'imds-probe' } : route };
}

function describe({ route, headers, form }: Call, now: number): RecordedRequest {
  const first = (...names: string[]) => names.map((name) => form.get(name)).find((value) => value !== null);
  const correlationId = headers['client-request-id'] ?? first('client-request-id');
  return {
    time: now,
    endpoint: route.endpoint,
    grantType: route.managedIdentity ?? first('grant_type') ?? '',
    tenantId: route.tenant,
    clientId:
      first('client_id', 'clientid', 'object_id', 'principal_id', 'msi_res_id', 'mi_res_id') ??
      (route.endpoint === 'token' ? basicCredentials(headers.authorization)?.clientId : undefined) ??
      '',
    scope: first('scope', 'resource') ?? '',
    userName: first('username'),
    claims: first('claims'),
    correlationId: typeof correlationId === 'string' ? correlationId : randomUUID(),
    status: undefined,
    aadsts: undefined,
    answeredAt: undefined,
  };
}

/** The refusal named by a fault; for a fault with only a status, Entra's answer when it is overloaded or broken. */
function refusalOf(fault: Extract<Misfortune, { kind: 'answer' }>, record: EntraRequest): Refusal {
  const known = refuse(fault.aadsts ?? (fault.status === 429 ? 90055 : 90033), record.clientId, record.tenantId);
  return new Refusal(fault.status ?? known.status, known.error, known.aadsts, known.message, known.more);
}

/** OpenID Connect Discovery 1.0 section 3; `tenant` may be a placeholder. */
export function openIdConfiguration(
  { url, issuer }: Pick<ServiceParts, 'url' | 'issuer'>,
  tenant: string,
  version: 1 | 2,
) {
  const base = `${url}/${tenant}`;
  const oauth = version === 2 ? `${base}/oauth2/v2.0` : `${base}/oauth2`;
  return {
    issuer: issuer.issuerOf(tenant, version),
    authorization_endpoint: `${oauth}/authorize`,
    token_endpoint: `${oauth}/token`,
    device_authorization_endpoint: `${oauth}/devicecode`,
    end_session_endpoint: `${oauth}/logout`,
    jwks_uri: `${base}/discovery/v2.0/keys`,
    response_modes_supported: ['query', 'fragment', 'form_post'],
    response_types_supported: ['code'],
    scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
    subject_types_supported: ['pairwise'],
    id_token_signing_alg_values_supported: ['RS256'],
    token_endpoint_auth_methods_supported: ['client_secret_post', 'private_key_jwt', 'client_secret_basic'],
    request_uri_parameter_supported: false,
    claims_supported: ['sub', 'iss', 'aud', 'exp', 'iat', 'nonce', 'preferred_username', 'name', 'tid', 'ver'],
    tenant_region_scope: null,
  };
}

import type { AppRegistration, Directory } from './directory.js';
import { refuse } from './refusal.js';
import type { TokenIssuer } from './token-issuer.js';

/** One request to the token endpoint, as a grant sees it. */
export interface TokenRequest {
  readonly form: URLSearchParams;
  /** `Authorization` header. */
  readonly authorization: string | undefined;
  /** The tenant, as an id. */
  readonly tenantId: string;
  /** 1: `/oauth2/token`, which names a `resource`; 2: `/oauth2/v2.0/token`, which names a `scope`. */
  readonly version: 1 | 2;
  readonly directory: Directory;
  readonly issuer: TokenIssuer;
}

/** A parameter that must be there; throws AADSTS900144. */
export function required(request: TokenRequest, name: string): string {
  const value = request.form.get(name);
  if (value === null || value === '') throw refuse(900144, name);
  return value;
}

/** What is asked for: one resource, and permissions on it. */
export interface RequestedAccess {
  resource: string;
  /** `['.default']`, or permissions by name. */
  scopes: string[];
  /** `openid`, `profile`, `offline_access`, ... */
  identityScopes: string[];
}

const IDENTITY_SCOPES = new Set(['openid', 'profile', 'email', 'offline_access']);

export function requestedAccess(request: TokenRequest): RequestedAccess {
  if (request.version === 1) {
    const resource = required(request, 'resource');
    request.directory.assertResource(resource, request.tenantId);
    return { resource, scopes: ['.default'], identityScopes: [] };
  }
  const scope = required(request, 'scope');
  const all = scope.split(' ').filter((name) => name !== '');
  const named = all.filter((name) => !IDENTITY_SCOPES.has(name));
  const split = named.map(splitScope);
  const resources = new Set(split.map(({ resource }) => resource));
  const [resource = 'https://graph.microsoft.com'] = resources;
  if (resources.size > 1) throw refuse(70011, scope);
  request.directory.assertResource(resource, request.tenantId);
  return {
    resource,
    scopes: split.map(({ permission }) => permission),
    identityScopes: all.filter((name) => IDENTITY_SCOPES.has(name)),
  };
}

/**
 * `https://database.windows.net/.default` is the resource `https://database.windows.net`; with two slashes the resource
 * keeps one, as in Entra. A scope without a resource belongs to Microsoft Graph.
 */
function splitScope(scope: string): { resource: string; permission: string } {
  const end = scope.lastIndexOf('/');
  if (end === -1) return { resource: 'https://graph.microsoft.com', permission: scope };
  return { resource: scope.slice(0, end), permission: scope.slice(end + 1) };
}

/** The application that asks, by `client_id` or HTTP Basic; unknown ones are refused with AADSTS700016. */
export function callingApp(request: TokenRequest): AppRegistration {
  const clientId = basicCredentials(request.authorization)?.clientId ?? required(request, 'client_id');
  const app = request.directory.app(clientId);
  if (app === undefined) throw refuse(700016, clientId, request.tenantId);
  return app;
}

export function basicCredentials(authorization: string | undefined): { clientId: string; secret: string } | undefined {
  const [scheme, encoded] = authorization?.split(' ') ?? [];
  if (scheme?.toLowerCase() !== 'basic' || encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon === -1) return undefined;
  // RFC 6749 section 2.3.1: both halves are form-encoded first.
  const [[clientId = '', secret = ''] = []] = new URLSearchParams(`${text.slice(0, colon)}=${text.slice(colon + 1)}`);
  return { clientId, secret };
}

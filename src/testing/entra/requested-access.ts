import type { Directory } from './directory.js';
import { refuse } from './refusal.js';

/** What a request asks for: one resource, and permissions on it. */
export interface RequestedAccess {
  resource: string;
  /** `['.default']`, or permissions by name. */
  scopes: string[];
  /** `openid`, `profile`, `offline_access`, ... */
  identityScopes: string[];
}

/** The parts of a request that specify the access. */
export interface AccessRequest {
  readonly form: URLSearchParams;
  /** Version 1 takes a `resource`, version 2 a `scope`. */
  readonly version: 1 | 2;
  readonly tenantId: string;
  readonly directory: Directory;
}

const IDENTITY_SCOPES = new Set(['openid', 'profile', 'email', 'offline_access']);
const GRAPH = 'https://graph.microsoft.com';

/** True if the request specifies the access. The redemption of a code may omit it and inherit that of the sign-in. */
export function namesAccess({ form, version }: AccessRequest): boolean {
  return form.has(version === 1 ? 'resource' : 'scope');
}

export function requestedAccess(request: AccessRequest): RequestedAccess {
  const name = request.version === 1 ? 'resource' : 'scope';
  const value = request.form.get(name);
  if (value === null || value === '') throw refuse(900144, name);
  const access =
    request.version === 1
      ? { resource: value, scopes: ['.default'], identityScopes: [] }
      : accessByScope(value, request.form);
  request.directory.assertResource(access.resource, request.tenantId);
  return access;
}

function accessByScope(scope: string, form: URLSearchParams): RequestedAccess {
  const all = scope.split(' ').filter((name) => name !== '');
  // A resource without a permission, such as `https://database.windows.net`.
  if (all.some((name) => /^[a-z][a-z0-9+.-]{0,30}:\/\/[^/]{0,300}\/?$/i.test(name))) {
    throw refuse(form.get('grant_type') === 'client_credentials' ? 1002012 : 70011, scope);
  }
  const split = all.filter((name) => !IDENTITY_SCOPES.has(name)).map(splitScope);
  const resources = new Set(split.map(({ resource }) => resource));
  const [resource = GRAPH] = resources;
  if (resources.size > 1) throw refuse(70011, scope);
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
  if (end === -1) return { resource: GRAPH, permission: scope };
  return { resource: scope.slice(0, end), permission: scope.slice(end + 1) };
}

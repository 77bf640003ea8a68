import { type ManagedIdentityKind, managedIdentityKind } from './managed-identity/endpoints.js';
import type { EntraEndpoint } from './request.js';

/** The destination of a request according to its path. */
export interface Route {
  endpoint: EntraEndpoint;
  /** As given in the path; empty if absent. */
  tenant: string;
  /** 2 for `/v2.0`. */
  version: 1 | 2;
  managedIdentity?: ManagedIdentityKind | undefined;
}

const ROUTES: readonly [RegExp, EntraEndpoint][] = [
  [/^\/([^/]+)\/oauth2(\/v2\.0)?\/token\/?$/, 'token'],
  [/^\/([^/]+)\/oauth2(\/v2\.0)?\/devicecode$/, 'devicecode'],
  [/^\/([^/]+)\/oauth2(\/v2\.0)?\/authorize$/, 'authorize'],
  [/^\/([^/]+)\/oauth2\/deviceauth$/, 'deviceauth'],
  [/^\/([^/]+)(\/v2\.0)?\/\.well-known\/openid-configuration$/, 'discovery'],
  [/^\/([^/]+)\/discovery(\/v2\.0)?\/keys$/, 'keys'],
];

export function routeOf(path: string): Route {
  const managedIdentity = managedIdentityKind(path);
  if (managedIdentity !== undefined) return { endpoint: 'managed-identity', tenant: '', version: 1, managedIdentity };
  for (const [pattern, endpoint] of ROUTES) {
    const match = pattern.exec(path);
    if (match !== null) return { endpoint, tenant: decoded(match[1] ?? ''), version: match[2] ? 2 : 1 };
  }
  return { endpoint: 'unknown', tenant: '', version: 2 };
}

/** The part of a path without its escapes; as it is if they are malformed, so that no tenant has that name. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

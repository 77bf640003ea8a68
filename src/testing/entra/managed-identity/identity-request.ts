import type { IncomingHttpHeaders } from 'node:http';
import type { Directory, ManagedIdentity, UserAccount } from '../directory.js';
import type { HttpAnswer } from '../http-listener.js';
import { Refusal } from '../refusal.js';
import { lifeLeft } from '../token-answer.js';
import type { TokenIssuer } from '../token-issuer.js';

/** One request to a managed identity endpoint. */
export interface IdentityRequest {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  /** Query or form parameters. */
  readonly parameters: URLSearchParams;
  readonly directory: Directory;
  readonly issuer: TokenIssuer;
  /** The secret that the application sends from its environment: `IDENTITY_HEADER` or `MSI_SECRET`. */
  readonly secret: string;
}

/** The error format of an endpoint. */
export type IdentityErrorBody = (error: string, description: string) => object;

/** IMDS, Arc and Cloud Shell. */
export const oauthError: IdentityErrorBody = (error, description) => ({ error, error_description: description });

/** Names of the parameters that select an identity. */
export interface IdentitySelectors {
  clientId?: readonly string[];
  objectId?: readonly string[];
  resourceId?: readonly string[];
}

/** The selected identity, by default the system-assigned one; undefined if it does not exist. */
export function chosenIdentity(request: IdentityRequest, selectors: IdentitySelectors): ManagedIdentity | undefined {
  const { parameters, directory } = request;
  const kinds = ['clientId', 'objectId', 'resourceId'] as const;
  for (const kind of kinds) {
    for (const name of selectors[kind] ?? []) {
      const value = parameters.get(name);
      if (value !== null) return directory.managedIdentity(kind, value);
    }
  }
  return directory.systemAssignedIdentity;
}

/** The fields common to all token answers; some endpoints write numbers as strings. */
export interface IdentityToken {
  accessToken: string;
  expiresIn: number;
  /** Epoch seconds. */
  expiresOn: number;
  notBefore: number;
  resource: string;
}

/** Throws AADSTS500011 for a resource that is not registered. */
export function tokenFor(
  request: IdentityRequest,
  principal: ManagedIdentity | UserAccount,
  resource: string,
): IdentityToken {
  request.directory.assertResource(resource, principal.tenantId);
  const { token, claims } = request.issuer.issue(principal, {
    audience: resource,
    tenantId: principal.tenantId,
    authentication: 'assertion',
  });
  return {
    accessToken: token,
    expiresIn: lifeLeft(claims.exp, request.issuer.now),
    expiresOn: claims.exp,
    notBefore: claims.nbf,
    resource,
  };
}

/** Answers with the result of `handle`; an unknown resource becomes the endpoint's own error. */
export function answering(errorBody: IdentityErrorBody, handle: () => HttpAnswer): HttpAnswer {
  try {
    return handle();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { status: 400, body: errorBody(error.error, `AADSTS${error.aadsts}: ${error.message}`) };
  }
}

import type { HttpAnswer } from '../http-listener.js';
import { answering, chosenIdentity, type IdentityRequest, oauthError, tokenFor } from './identity-request.js';

/** True for a probe, which omits the header that every token request has. */
export function isImdsProbe(request: Pick<IdentityRequest, 'headers'>): boolean {
  return request.headers.metadata === undefined;
}

/** Virtual machines, scale sets, AKS nodes: `http://169.254.169.254/metadata/identity/oauth2/token`. */
export function imds(request: IdentityRequest): HttpAnswer {
  const { method, headers, parameters } = request;
  const refused = (description: string) => ({ status: 400, body: oauthError('invalid_request', description) });
  if (method !== 'GET') return { status: 405, body: oauthError('invalid_request', 'Method not allowed') };
  // Requires the header and no sign of a proxy, so that web pages and forwarded requests cannot get a token.
  if (headers.metadata?.toString().toLowerCase() !== 'true' || headers['x-forwarded-for'] !== undefined) {
    return refused('Required metadata header not specified');
  }
  if (parameters.get('api-version') === null) return refused('Required query variable "api-version" is missing');
  const resource = parameters.get('resource');
  if (resource === null) return refused('Required audience parameter not specified');
  const identity = chosenIdentity(request, {
    clientId: ['client_id'],
    objectId: ['object_id', 'principal_id'],
    resourceId: ['msi_res_id', 'mi_res_id'],
  });
  if (identity === undefined) return refused('Identity not found');
  return answering(oauthError, () => {
    const token = tokenFor(request, identity, resource);
    return {
      status: 200,
      body: {
        access_token: token.accessToken,
        client_id: identity.clientId,
        expires_in: String(token.expiresIn),
        expires_on: String(token.expiresOn),
        ext_expires_in: String(token.expiresIn),
        not_before: String(token.notBefore),
        resource,
        token_type: 'Bearer',
      },
    };
  });
}

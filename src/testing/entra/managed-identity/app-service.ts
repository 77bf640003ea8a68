import type { HttpAnswer } from '../http-listener.js';
import { answering, chosenIdentity, type IdentityRequest, tokenFor } from './identity-request.js';

/** App Service, Functions and Container Apps, `api-version=2019-08-01`. */
export function appService(request: IdentityRequest): HttpAnswer {
  const { headers, parameters, secret } = request;
  const refused = (status: number, message: string) => ({ status, body: appServiceError(status, message) });
  if (headers['x-identity-header'] !== secret) return refused(401, 'X-IDENTITY-HEADER is missing or wrong.');
  if (parameters.get('api-version') !== '2019-08-01') return refused(400, 'Unsupported api-version.');
  const resource = parameters.get('resource');
  if (resource === null) return refused(400, "Required query parameter 'resource' is missing.");
  const identity = chosenIdentity(request, {
    clientId: ['client_id'],
    objectId: ['principal_id', 'object_id'],
    resourceId: ['mi_res_id', 'msi_res_id'],
  });
  if (identity === undefined) {
    return refused(
      400,
      'No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.',
    );
  }
  return answering(
    (_error, description) => appServiceError(400, description),
    () => {
      const token = tokenFor(request, identity, resource);
      return {
        status: 200,
        body: {
          access_token: token.accessToken,
          expires_on: String(token.expiresOn),
          resource,
          token_type: 'Bearer',
          client_id: identity.clientId,
        },
      };
    },
  );
}

function appServiceError(statusCode: number, message: string): object {
  return { statusCode, message };
}

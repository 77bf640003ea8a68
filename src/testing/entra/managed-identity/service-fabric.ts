import { randomUUID } from 'node:crypto';
import type { HttpAnswer } from '../http-listener.js';
import { answering, chosenIdentity, type IdentityRequest, tokenFor } from './identity-request.js';

/** Service Fabric, `api-version=2019-07-01-preview`; served over https; clients pin the certificate by thumbprint. */
export function serviceFabric(request: IdentityRequest): HttpAnswer {
  const { headers, parameters, secret } = request;
  const refused = (status: number, code: string, message: string) => ({ status, body: fabricError(code, message) });
  if (headers.secret === undefined) {
    return refused(400, 'SecretHeaderNotFound', 'Secret is not found in the request headers.');
  }
  if (headers.secret !== secret) return refused(404, 'ManagedIdentityNotFound', 'Managed identity is not found.');
  if (parameters.get('api-version') !== '2019-07-01-preview') {
    return refused(400, 'InvalidApiVersion', 'The api-version is not supported.');
  }
  const resource = parameters.get('resource');
  if (resource === null) {
    return refused(400, 'ArgumentNullOrEmpty', "The parameter 'resource' must not be null or empty string.");
  }
  // The cluster decides which identity an application has; a selection in the request is ignored.
  const identity = chosenIdentity(request, {});
  if (identity === undefined) return refused(404, 'ManagedIdentityNotFound', 'Managed identity is not found.');
  return answering(fabricError, () => {
    const token = tokenFor(request, identity, resource);
    return {
      status: 200,
      body: { token_type: 'Bearer', access_token: token.accessToken, expires_on: token.expiresOn, resource },
    };
  });
}

function fabricError(code: string, message: string): object {
  return { error: { correlationId: randomUUID(), code, message } };
}

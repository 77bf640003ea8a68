import type { HttpAnswer } from '../http-listener.js';
import { answering, chosenIdentity, type IdentityRequest, tokenFor } from './identity-request.js';

/** Azure Machine Learning compute, `api-version=2017-09-01`; the identity is always given, as `clientid`. */
export function machineLearning(request: IdentityRequest): HttpAnswer {
  const { headers, parameters, secret } = request;
  const refused = (status: number, message: string) => ({ status, body: learningError('invalid_request', message) });
  if (headers.secret !== secret) return refused(401, 'The secret header is missing or wrong.');
  if (parameters.get('api-version') !== '2017-09-01') return refused(400, 'Unsupported api-version.');
  const resource = parameters.get('resource');
  if (resource === null) return refused(400, "Required query parameter 'resource' is missing.");
  const identity = chosenIdentity(request, { clientId: ['clientid'] });
  if (identity === undefined) return refused(400, 'Identity not found');
  return answering(learningError, () => {
    const token = tokenFor(request, identity, resource);
    return {
      status: 200,
      body: {
        access_token: token.accessToken,
        client_id: identity.clientId,
        expires_on: String(token.expiresOn),
        resource,
        token_type: 'Bearer',
      },
    };
  });
}

function learningError(code: string, message: string): object {
  return { error: { code, message } };
}

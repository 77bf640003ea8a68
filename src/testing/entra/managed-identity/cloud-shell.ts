import type { UserAccount } from '../directory.js';
import type { HttpAnswer } from '../http-listener.js';
import { answering, type IdentityRequest, oauthError, tokenFor } from './identity-request.js';

/** Azure Cloud Shell: the token identifies the signed-in user, and no identity can be selected. */
export function cloudShell(request: IdentityRequest, person: UserAccount): HttpAnswer {
  const { method, headers, parameters } = request;
  const refused = (message: string) => ({ status: 400, body: { error: { code: 'invalid_request', message } } });
  if (method !== 'POST') return refused('Cloud Shell accepts only POST.');
  if (headers.metadata?.toString().toLowerCase() !== 'true') return refused('Required metadata header not specified.');
  const resource = parameters.get('resource');
  if (resource === null) return refused('Required body parameter "resource" is missing.');
  return answering(oauthError, () => {
    const token = tokenFor(request, person, resource);
    return {
      status: 200,
      body: {
        access_token: token.accessToken,
        refresh_token: '',
        expires_in: String(token.expiresIn),
        expires_on: String(token.expiresOn),
        not_before: String(token.notBefore),
        resource,
        token_type: 'Bearer',
      },
    };
  });
}

import { refuse } from '../refusal.js';
import type { TokenAnswer } from '../token-answer.js';
import { required, type TokenRequest } from '../token-request.js';
import { authorizationCode } from './authorization-code.js';
import { clientCredentials } from './client-credentials.js';
import { deviceCode } from './device-code.js';
import { onBehalfOf } from './on-behalf-of.js';
import { password } from './password.js';
import { refreshToken } from './refresh-token.js';
import { userFederatedIdentity } from './user-federated-identity.js';

const GRANTS = new Map<string, (request: TokenRequest) => TokenAnswer>([
  ['client_credentials', clientCredentials],
  ['authorization_code', authorizationCode],
  ['refresh_token', refreshToken],
  ['password', password],
  ['urn:ietf:params:oauth:grant-type:device_code', deviceCode],
  // The name used before RFC 8628; MSAL still sends it.
  ['device_code', deviceCode],
  ['urn:ietf:params:oauth:grant-type:jwt-bearer', onBehalfOf],
  ['user_fic', userFederatedIdentity],
]);

/** Answers a request to the token endpoint. */
export function grant(request: TokenRequest): TokenAnswer {
  const grantType = required(request, 'grant_type');
  const handle = GRANTS.get(grantType);
  if (handle === undefined) throw refuse(70003, grantType);
  return handle(request);
}

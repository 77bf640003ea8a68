import { refuse } from '../refusal.js';
import type { TokenAnswer } from '../token-answer.js';
import { required, type TokenRequest } from '../token-request.js';
import { clientCredentials } from './client-credentials.js';

const GRANTS: Readonly<Record<string, (request: TokenRequest) => TokenAnswer>> = {
  client_credentials: clientCredentials,
};

/** Answers a request to the token endpoint. */
export function grant(request: TokenRequest): TokenAnswer {
  const grantType = required(request, 'grant_type');
  const handle = Object.hasOwn(GRANTS, grantType) ? GRANTS[grantType] : undefined;
  if (handle === undefined) throw refuse(70003, grantType);
  return handle(request);
}

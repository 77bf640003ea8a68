import { exchangeClaims } from '../agent-identity.js';
import { authenticatedCaller } from '../client-authentication.js';
import { refuse } from '../refusal.js';
import { requestedAccess } from '../requested-access.js';
import { requestedClaims } from '../requested-claims.js';
import { type TokenAnswer, tokenAnswer } from '../token-answer.js';
import type { TokenRequest } from '../token-request.js';

/** RFC 6749 section 4.4: an application requests a token for itself. */
export function clientCredentials(request: TokenRequest): TokenAnswer {
  const { app, authentication } = authenticatedCaller(request);
  const { resource, scopes } = requestedAccess(request);
  if (scopes.join() !== '.default') throw refuse(1002012, request.form.get('scope') ?? '');
  const issued = request.issuer.issue(app, {
    audience: resource,
    tenantId: request.tenantId,
    authentication,
    claims: exchangeClaims(app, request),
    ...requestedClaims(request.form),
  });
  return tokenAnswer(request, issued, { resource });
}

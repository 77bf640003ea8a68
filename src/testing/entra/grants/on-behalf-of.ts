import { authenticatedCaller } from '../client-authentication.js';
import { decodeToken } from '../json-web-token.js';
import { type Refusal, refuse } from '../refusal.js';
import { requestedAccess } from '../requested-access.js';
import type { TokenAnswer } from '../token-answer.js';
import { required, type TokenRequest } from '../token-request.js';
import { userTokenAnswer } from '../user-token-answer.js';
import { type TokenFlaw, verifyAccessToken } from '../verification.js';

/** An API exchanges the user token it was called with for a token to a downstream API. */
export function onBehalfOf(request: TokenRequest): TokenAnswer {
  const who = authenticatedCaller(request);
  const { clientId } = who.app;
  const assertion = required(request, 'assertion');
  if (required(request, 'requested_token_use') !== 'on_behalf_of') throw refuse(70003, 'jwt-bearer');
  const claims = verifyAccessToken(assertion, {
    jwks: request.issuer.jwks,
    issuers: [1, 2].map((version) => request.issuer.issuerOf(request.tenantId, version as 1 | 2)),
    audience: [clientId, `api://${clientId}`],
    now: request.issuer.now,
  });
  if (claims.error !== undefined) throw refusalFor(claims.error, decodeToken(assertion)?.claims.aud);
  const user = request.directory.userByObjectId(claims.oid);
  if (user === undefined) throw refuse(7000114, clientId);
  const access = requestedAccess(request);
  const amr = Array.isArray(claims.amr) ? claims.amr.map(String) : ['pwd'];
  return userTokenAnswer(request, who, { user, clientId, tenantId: request.tenantId, access, amr });
}

function refusalFor(flaw: TokenFlaw, audience: unknown): Refusal {
  switch (flaw) {
    case 'malformed':
      return refuse(50027);
    case 'audience':
      return refuse(500131, String(audience));
    case 'expired':
    case 'not-yet-valid':
      return refuse(500133);
    default:
      return refuse(50013, `The ${flaw} is not that of this tenant`);
  }
}

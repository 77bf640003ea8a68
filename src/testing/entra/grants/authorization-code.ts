import { caller } from '../client-authentication.js';
import type { TokenAnswer } from '../token-answer.js';
import { required, type TokenRequest } from '../token-request.js';
import { userTokenAnswer } from '../user-token-answer.js';

/** RFC 6749 section 4.1.3, with PKCE (RFC 7636). */
export function authorizationCode(request: TokenRequest): TokenAnswer {
  const who = caller(request);
  const { form, issuer } = request;
  const { signIn, nonce } = request.authorizationCodes.redeem(
    required(request, 'code'),
    { clientId: who.app.clientId, redirectUri: required(request, 'redirect_uri'), verifier: form.get('code_verifier') },
    issuer.now,
  );
  return userTokenAnswer(request, who, signIn, nonce);
}

import { caller } from '../client-authentication.js';
import type { TokenAnswer } from '../token-answer.js';
import { required, type TokenRequest } from '../token-request.js';
import { userTokenAnswer } from '../user-token-answer.js';

/** RFC 6749 section 6: extends the sign-in and issues a new refresh token each time. */
export function refreshToken(request: TokenRequest): TokenAnswer {
  const who = caller(request);
  const token = required(request, 'refresh_token');
  const by = { clientId: who.app.clientId, authentication: who.authentication };
  const signIn = request.refreshTokens.redeem(token, by, request.issuer.now);
  return userTokenAnswer(request, who, signIn);
}

import { caller } from '../client-authentication.js';
import { refuse } from '../refusal.js';
import { requestedAccess } from '../requested-access.js';
import type { TokenAnswer } from '../token-answer.js';
import { callingApp, required, type TokenRequest } from '../token-request.js';
import { userTokenAnswer } from '../user-token-answer.js';

/** RFC 8628 section 3.1: the code to show to the user. */
export function startDeviceCode(request: TokenRequest): TokenAnswer {
  const { clientId } = callingApp(request);
  const { version, tenantId, issuer } = request;
  const access = requestedAccess(request);
  const started = request.deviceCodes.start({ clientId, tenantId, access }, issuer.now);
  const page = `${issuer.url}/common/oauth2/deviceauth`;
  const { userCode, intervalSeconds } = started;
  const expiresIn = Math.round((started.expiresAt - issuer.now) / 1000);
  return {
    user_code: userCode,
    device_code: started.deviceCode,
    ...(version === 2 ? { verification_uri: page } : { verification_url: page }),
    expires_in: version === 2 ? expiresIn : String(expiresIn),
    interval: version === 2 ? intervalSeconds : String(intervalSeconds),
    message: `To sign in, use a web browser to open the page ${page} and enter the code ${userCode} to authenticate.`,
  };
}

/** RFC 8628 section 3.4: the client polls until the user has signed in. */
export function deviceCode(request: TokenRequest): TokenAnswer {
  const who = caller(request);
  const code = required(request, request.form.has('device_code') ? 'device_code' : 'code');
  const { user, access, tenantId } = request.deviceCodes.redeem(code, who.app.clientId, request.issuer.now);
  if (tenantId !== request.tenantId) throw refuse(70018);
  const amr = user.mfaRequired ? ['pwd', 'mfa'] : ['pwd'];
  return userTokenAnswer(request, who, { user, clientId: who.app.clientId, tenantId, access, amr });
}

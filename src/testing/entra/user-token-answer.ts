import type { Caller } from './client-authentication.js';
import type { SignIn } from './refresh-tokens.js';
import { refuse } from './refusal.js';
import { namesAccess, requestedAccess } from './requested-access.js';
import { requestedClaims } from './requested-claims.js';
import { type TokenAnswer, tokenAnswer } from './token-answer.js';
import type { TokenRequest } from './token-request.js';

/** Checks the user account again, then issues the requested tokens: access, refresh and id token. */
export function userTokenAnswer(request: TokenRequest, caller: Caller, signIn: SignIn, nonce?: string): TokenAnswer {
  const { issuer, directory } = request;
  const { resource, scopes, identityScopes } = namesAccess(request) ? requestedAccess(request) : signIn.access;
  const user = directory.user(signIn.user.userName) ?? signIn.user;
  if (user.disabled) throw refuse(50057);
  if (user.mfaRequired && !signIn.amr.includes('mfa')) throw refuse(50076, resource);
  const granted = scopes.includes('.default') ? ['user_impersonation'] : scopes;
  const issued = issuer.issue(user, {
    audience: resource,
    tenantId: signIn.tenantId,
    clientId: caller.app.clientId,
    authentication: caller.authentication,
    scopes: granted,
    amr: signIn.amr,
    ...requestedClaims(request.form),
  });
  // MSAL looks up cached tokens by requested scope, so `.default` is returned along with the scopes it stands for.
  const scope = [...new Set([...granted, ...scopes])].map((name) => `${resource}/${name}`).join(' ');
  const wants = (name: string) => request.version === 1 || identityScopes.includes(name);
  return {
    ...tokenAnswer(request, issued, { resource, scope }),
    ...(wants('offline_access')
      ? { refresh_token: request.refreshTokens.issue(signIn, caller.authentication, issuer.now) }
      : {}),
    ...(wants('openid') ? { id_token: issuer.signIdToken(user, { ...signIn, nonce }) } : {}),
    client_info: Buffer.from(JSON.stringify({ uid: user.objectId, utid: user.tenantId })).toString('base64url'),
  };
}

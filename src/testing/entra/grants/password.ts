import { caller } from '../client-authentication.js';
import type { Directory, UserAccount } from '../directory.js';
import { refuse } from '../refusal.js';
import { requestedAccess } from '../requested-access.js';
import type { TokenAnswer } from '../token-answer.js';
import { required, type TokenRequest } from '../token-request.js';
import { userTokenAnswer } from '../user-token-answer.js';

/** RFC 6749 section 4.3; supports a password only, so it is refused if a second factor is required. */
export function password(request: TokenRequest): TokenAnswer {
  const who = caller(request);
  const user = userWithPassword(request.directory, required(request, 'username'), required(request, 'password'));
  return userTokenAnswer(request, who, {
    user,
    clientId: who.app.clientId,
    tenantId: request.tenantId,
    access: requestedAccess(request),
    amr: ['pwd'],
  });
}

/** The user with this name, if the password is correct. */
export function userWithPassword(directory: Directory, userName: string, password: string): UserAccount {
  const user = directory.user(userName);
  if (user === undefined) throw refuse(50034, userName, directory.homeTenantId);
  if (user.password !== password) throw refuse(50126);
  if (user.disabled) throw refuse(50057);
  return user;
}

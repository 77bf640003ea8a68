import { exchangeToken } from '../agent-identity.js';
import { authenticatedCaller } from '../client-authentication.js';
import { refuse } from '../refusal.js';
import { requestedAccess } from '../requested-access.js';
import type { TokenAnswer } from '../token-answer.js';
import { required, type TokenRequest } from '../token-request.js';
import { userTokenAnswer } from '../user-token-answer.js';

/** An agent identity acts as its own user account, with its exchange token as proof (grant `user_fic`). */
export function userFederatedIdentity(request: TokenRequest): TokenAnswer {
  const { directory, form, tenantId } = request;
  const who = authenticatedCaller(request);
  const agent = exchangeToken(required(request, 'user_federated_identity_credential'), request);
  if (agent.oid !== who.app.objectId) throw refuse(700213, agent.sub);
  const userId = form.get('user_id');
  const user = userId === null ? directory.user(required(request, 'username')) : directory.userByObjectId(userId);
  if (user === undefined) throw refuse(50034, userId ?? form.get('username') ?? '', tenantId);
  if (user.agentClientId?.toLowerCase() !== who.app.clientId.toLowerCase()) throw refuse(700213, user.objectId);
  const { clientId } = who.app;
  return userTokenAnswer(request, who, { user, clientId, tenantId, access: requestedAccess(request), amr: ['fed'] });
}

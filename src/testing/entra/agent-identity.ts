import type { AppRegistration } from './directory.js';
import { decodeToken } from './json-web-token.js';
import { refuse } from './refusal.js';
import type { TokenRequest } from './token-request.js';
import { type TokenClaims, verifyAccessToken } from './verification.js';

/**
 * Agent identities (Microsoft Entra Agent ID): the blueprint gets an exchange token for one of its agents, which the agent
 * presents as its client assertion.
 * https://learn.microsoft.com/entra/agent-id/identity-platform/autonomous-agent-request-tokens
 */
const EXCHANGE_AUDIENCES = [
  'api://AzureADTokenExchange',
  'api://AzureADTokenExchangeUSGov',
  'api://AzureADTokenExchangeChina',
];

/** Claims of the token requested with `fmi_path`; undefined if the parameter is missing. */
export function exchangeClaims(blueprint: AppRegistration, request: TokenRequest): { sub: string } | undefined {
  const agentId = request.form.get('fmi_path');
  if (agentId === null) return undefined;
  const agent = request.directory.app(agentId);
  if (agent === undefined) throw refuse(700016, agentId, request.tenantId);
  const subject = subjectOf(agent, request.tenantId);
  if (agent.blueprintClientId?.toLowerCase() !== blueprint.clientId.toLowerCase()) throw refuse(700213, subject);
  return { sub: subject };
}

/** Refuses a client assertion unless it is an exchange token that the agent's own blueprint obtained for this agent. */
export function checkBlueprintAssertion(agent: AppRegistration, assertion: string, request: TokenRequest): void {
  const { sub } = exchangeToken(assertion, request);
  if (sub !== subjectOf(agent, request.tenantId)) throw refuse(700213, String(sub));
}

/** The claims of an exchange token that this emulator has signed for this tenant. */
export function exchangeToken(token: string, request: TokenRequest): TokenClaims {
  const { issuer, tenantId } = request;
  const claims = verifyAccessToken(token, {
    jwks: issuer.jwks,
    issuers: [issuer.issuerOf(tenantId, 1), issuer.issuerOf(tenantId, 2)],
    audience: EXCHANGE_AUDIENCES,
    now: issuer.now,
  });
  if (claims.error === undefined) return claims;
  const sent = decodeToken(token)?.claims;
  switch (claims.error) {
    case 'malformed':
      throw refuse(50027);
    case 'issuer':
      throw refuse(700211, String(sent?.iss));
    case 'audience':
      throw refuse(700212, String(sent?.aud));
    case 'signature':
      throw refuse(700027, 'The signature does not match', request.form.get('client_id') ?? '');
    default:
      throw refuse(700024, `Current time: ${issuer.now / 1000}, assertion expiry ${String(sent?.exp)}.`);
  }
}

/** The format of a federated managed identity's subject: tenant, blueprint, then the requested path. */
function subjectOf(agent: AppRegistration, tenantId: string): string {
  return `/eid1/c/pub/t/${tenantId}/a/${agent.blueprintClientId ?? ''}/${agent.clientId}`;
}

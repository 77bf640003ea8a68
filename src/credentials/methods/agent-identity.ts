import { ConfigurationError } from '../../errors.js';
import type { AccessToken, Credential } from '../credential.js';
import { identityOf, portableIdentityOf } from '../identity.js';
import { optionalText, requireClientId } from '../input/require-option.js';
import {
  APPLICATION_OPTIONS,
  type ApplicationOptions,
  applicationCredential,
  type Grant,
  type Prover,
} from './application.js';
import { APPLICATION_PROOF_OPTIONS, type ApplicationProofOptions, proofOf } from './application-proof.js';
import { exchangeAudience, type FederatedOptions, proveByFederation } from './federated.js';
import { defineMethod } from './method.js';

/**
 * An agent identity of Microsoft Entra Agent ID. The agent has no secret of its own: its blueprint, an application,
 * proves itself and gets an exchange token for the agent (`fmi_path`), which is the agent's client assertion.
 *
 * Preview: tested only against the Entra emulator, because no tenant with agent identities was available to us.
 * https://learn.microsoft.com/entra/agent-id/identity-platform/autonomous-agent-request-tokens
 */
export interface AgentIdentityOptions
  extends ApplicationOptions,
    ApplicationProofOptions,
    Partial<Pick<FederatedOptions, 'from' | 'audience'>> {
  method?: 'agent-identity' | undefined;
  /** Client id of the blueprint, which proves itself as any application does. */
  clientId: string;
  /** Client id of the agent identity: the principal that SQL Server sees. */
  agentId: string;
  /** User name of the agent's own user account, if the agent acts as that user. */
  agentUserName?: string;
}

/** @throws ConfigurationError naming the option */
export function agentIdentity(options: AgentIdentityOptions): Credential {
  const agentId = requireClientId(options.agentId, 'agentId');
  const userName = optionalText(options.agentUserName, 'agentUserName');
  const exchangeScope = `${exchangeAudience(options)}/.default`;
  const given = options.from === undefined ? proofOf(options, 'agent identity') : federation(options);
  const proof: Prover = {
    ...given,
    async prove(abortSignal) {
      const proven = await given.prove(abortSignal);
      return { ...proven, explain: (aadsts) => proven.explain?.(aadsts) ?? explainAgent(aadsts) };
    },
  };
  const blueprint = applicationCredential(options, proof, {
    method: proof.method,
    noun: proof.noun,
    identity: ['fmi_path', agentId],
    person: false,
    ask: (app, request) => app.acquireTokenByClientCredential({ ...request, fmiPath: agentId }),
  });
  return applicationCredential(
    { ...options, clientId: agentId },
    {
      method: 'agent-identity',
      noun: 'blueprint token',
      identity: [identityOf(blueprint), userName],
      environment: proof.environment,
      sameEverywhere: portableIdentityOf(blueprint) !== undefined,
      requestTimeoutMs: proof.requestTimeoutMs,
      async prove(abortSignal) {
        // A new one for each request: it is valid for one agent only, and requests are rare.
        const { token } = (await blueprint.getToken(exchangeScope, { abortSignal })) as AccessToken;
        return { proof: { clientAssertion: token }, secrets: [token] };
      },
    },
    userName === undefined ? undefined : asUser(userName, exchangeScope),
  );
}

/** Refusals of a blueprint whose own proof was accepted. */
function explainAgent(aadsts: number | undefined): string | undefined {
  if (aadsts !== 700213) return undefined;
  return "Check 'agentId' and 'clientId': this agent identity does not belong to this blueprint.";
}

/** The agent's token for the exchange, presented for its user account (grant `user_fic`). */
function asUser(username: string, exchangeScope: string): Grant {
  return {
    method: 'agent-identity',
    noun: 'user account',
    identity: [username],
    person: false,
    async ask(app, request) {
      const agent = await app.acquireTokenByClientCredential({ scopes: [exchangeScope], skipCache: true });
      return app.acquireTokenByUserFederatedIdentityCredential({
        ...request,
        assertion: agent?.accessToken ?? '',
        username,
      });
    },
  };
}

function federation(options: AgentIdentityOptions): ReturnType<typeof proveByFederation> {
  const given = [options.clientSecret, options.certificate ?? options.certificatePath, options.assertion];
  if (options.from === undefined || given.some((proof) => proof !== undefined)) {
    throw new ConfigurationError(
      "Set one of 'from', 'clientSecret', 'certificate', 'certificatePath' and 'assertion'.",
    );
  }
  return proveByFederation({ ...options, from: options.from });
}

export const agentIdentityMethod = defineMethod<AgentIdentityOptions>({
  name: 'agent-identity',
  options: {
    ...APPLICATION_OPTIONS,
    ...APPLICATION_PROOF_OPTIONS,
    from: true,
    audience: true,
    agentId: true,
    agentUserName: true,
  },
  impliedBy: ['agentId'],
  selectedBy: ['agentUserName'],
  create: agentIdentity,
});

import { ConfigurationError } from '../../errors.js';
import type { AccessToken, Credential, GetTokenOptions } from '../credential.js';
import { defineCredential } from '../define-credential.js';
import { type AuthorityOptions, resolveAuthority } from '../entra/authority.js';
import type { ClientProof } from '../entra/client-proof.js';
import type { HttpAgent } from '../entra/http-request.js';
import { requestAsConfidentialApp } from '../entra/msal.js';
import { requireAgent, requireClientId } from '../input/require-option.js';
import type { OptionNames } from './method.js';

/** Options of every method with which an application signs in as itself. */
export interface ApplicationOptions extends AuthorityOptions {
  /** Application (client) id of the app registration. */
  clientId: string;
  /** Continuous access evaluation: tokens that are valid for up to 28 h and can be revoked. Default false. */
  enableCae?: boolean | undefined;
  /** For a proxy, or a private certificate authority in front of the identity provider. */
  agent?: HttpAgent | undefined;
}

/** Names of {@link ApplicationOptions}. */
export const APPLICATION_OPTIONS: OptionNames<ApplicationOptions> = {
  tenantId: true,
  authority: true,
  allowInsecureAuthority: true,
  clientId: true,
  enableCae: true,
  agent: true,
};

/** The proof of an application, and the secrets that must not appear in an error. */
export interface Proof {
  proof: ClientProof;
  secrets: readonly string[];
  /** Facts about the proof for the hint after a refusal. Never a secret. */
  explain?: ((aadsts: number | undefined) => string | undefined) | undefined;
}

/** How a method proves which application it is. */
export interface Prover {
  method: string;
  /** Name of the proof, for error messages: `client secret`. */
  noun: string;
  /** Everything besides the application that decides which tokens it gets. */
  identity: readonly unknown[];
  /** The part that the environment decides. */
  environment?: object | undefined;
  /** Default true: see `sameEverywhere` of a credential definition. */
  sameEverywhere?: boolean | undefined;
  /** Time limit of a request, ms, if getting the proof takes longer than usual. */
  requestTimeoutMs?: number | undefined;
  /** The current proof. */
  prove(signal: AbortSignal | undefined): Promise<Proof>;
}

/**
 * The grant that an application requests with its proof, if not a token for itself.
 *
 * @internal
 */
export interface Grant {
  method: string;
  noun: string;
  identity: readonly unknown[];
  /** Whether a refusal ends when a person signs in again. */
  person: boolean;
  /** Time limit of a request, ms, given that of the proof. */
  requestTimeoutMs?: ((proofMs: number | undefined) => number) | undefined;
  /** Runs each request: in the application's turn, for example. */
  inTurn?: InTurn | undefined;
  ask(app: ConfidentialApp, request: { scopes: string[]; skipCache: true; claims?: string }): ReturnType<AskApp>;
}

/** @internal */
type InTurn = (
  application: { tokenEndpoint: string; clientId: string },
  request: () => Promise<AccessToken>,
  signal: AbortSignal | undefined,
) => Promise<AccessToken>;
/** @internal */
type ConfidentialApp = Parameters<Parameters<typeof requestAsConfidentialApp>[2]>[0];
/** @internal */
type AskApp = Parameters<typeof requestAsConfidentialApp>[2];

const FOR_ITSELF: Pick<Grant, 'person' | 'ask' | 'inTurn'> = {
  person: false,
  ask: (app, request) => app.acquireTokenByClientCredential(request),
};

/**
 * An application that requests a token with its proof: for itself (the client credentials grant, RFC 6749 section
 * 4.4) unless `grant` says otherwise.
 *
 * @throws ConfigurationError naming the option
 *
 * @internal
 */
export function applicationCredential(options: ApplicationOptions, prover: Prover, grant?: Grant): Credential {
  const { agent, enableCae } = options;
  const clientId = requireClientId(options.clientId);
  if (enableCae !== undefined && typeof enableCae !== 'boolean') {
    throw new ConfigurationError("'enableCae' must be true or false.");
  }
  requireAgent(agent);
  const authority = resolveAuthority(options);
  const { person, ask, inTurn = (_, request) => request() } = grant ?? FOR_ITSELF;
  const application = { tokenEndpoint: authority.tokenEndpoint.href, clientId };
  return defineCredential({
    method: grant?.method ?? prover.method,
    id: clientId,
    tenantId: authority.tenantId,
    identity: [application.tokenEndpoint, clientId, enableCae, agent, ...prover.identity, ...(grant?.identity ?? [])],
    environment: prover.environment,
    sameEverywhere: prover.sameEverywhere ?? true,
    requestTimeoutMs: grant?.requestTimeoutMs?.(prover.requestTimeoutMs) ?? prover.requestTimeoutMs,
    request: (scope, requested) => inTurn(application, () => request(scope, requested), requested.abortSignal),
  });

  async function request(scope: string, requested: GetTokenOptions): Promise<AccessToken> {
    const { proof, secrets, explain } = await prover.prove(requested.abortSignal);
    const { claims } = requested;
    return requestAsConfidentialApp(
      {
        authority: authority.inTenant(requested.tenantId),
        clientId,
        who: `${grant?.noun ?? prover.noun} of application ${clientId}`,
        person,
        secrets,
        explain,
        options: { ...requested, enableCae: requested.enableCae ?? enableCae },
        agent,
      },
      proof,
      (app) => ask(app, { scopes: [scope], skipCache: true, ...(claims === undefined ? {} : { claims }) }),
    );
  }
}

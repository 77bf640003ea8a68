import type { Credential } from '../credential.js';
import { defineCredential } from '../define-credential.js';
import { type AuthorityOptions, resolveAuthority } from '../entra/authority.js';
import type { HttpAgent } from '../entra/http-request.js';
import { type ClientProof, throughConfidentialApp } from '../entra/msal.js';
import { requireClientId } from '../input/require-option.js';

/** What every way has in common by which an application signs in as itself. */
export interface ApplicationOptions extends AuthorityOptions {
  /** Application (client) id of the app registration. */
  clientId: string;
  /** Continuous access evaluation: tokens that live up to 28 h and can be revoked. Default false. */
  enableCae?: boolean | undefined;
  /** For a proxy, or a private certificate authority in front of the identity provider. */
  agent?: HttpAgent | undefined;
}

/** Keys of {@link ApplicationOptions}. */
export const APPLICATION_KEYS = [
  'tenantId',
  'authority',
  'allowInsecureAuthority',
  'clientId',
  'enableCae',
  'agent',
] as const;

/** How one way proves who the application is. */
export interface Proving {
  method: string;
  /** What proves it, for error messages: `client secret`. */
  noun: string;
  /** What decides which tokens come out, beside the application. */
  identity: readonly unknown[];
  /** Longest a request takes, ms, where getting the proof takes longer than usual. */
  requestTimeoutMs?: number | undefined;
  /** The proof of the moment, and what in it must not turn up in an error. */
  prove(): Promise<{ proof: ClientProof; secrets: readonly string[] }>;
}

/** What an application asks for with its proof, where it is not a token for itself. */
export interface Grant {
  method: string;
  noun: string;
  identity: readonly unknown[];
  /** Whether a person can mend a refusal. */
  person: boolean;
  ask(app: ConfidentialApp, request: { scopes: string[]; skipCache: true; claims?: string }): ReturnType<AskApp>;
}

type ConfidentialApp = Parameters<Parameters<typeof throughConfidentialApp>[2]>[0];
type AskApp = Parameters<typeof throughConfidentialApp>[2];

const FOR_ITSELF: Pick<Grant, 'person' | 'ask'> = {
  person: false,
  ask: (app, request) => app.acquireTokenByClientCredential(request),
};

/**
 * An application that asks for a token with a proof of its own: for itself (the client credentials grant, RFC 6749 section
 * 4.4) unless `grant` says otherwise.
 *
 * @throws ConfigurationError naming the key
 */
export function applicationCredential(options: ApplicationOptions, proving: Proving, grant?: Grant): Credential {
  const { agent, enableCae } = options;
  const clientId = requireClientId(options.clientId);
  const authority = resolveAuthority(options);
  const { person, ask } = grant ?? FOR_ITSELF;
  return defineCredential({
    method: grant?.method ?? proving.method,
    id: clientId,
    tenantId: authority.tenantId,
    identity: [
      authority.tokenEndpoint.href,
      clientId,
      enableCae,
      agent,
      ...proving.identity,
      ...(grant?.identity ?? []),
    ],
    sameEverywhere: true,
    requestTimeoutMs: proving.requestTimeoutMs,
    async request(scope, requested) {
      const { proof, secrets } = await proving.prove();
      const { claims } = requested;
      return throughConfidentialApp(
        {
          authority: authority.inTenant(requested.tenantId),
          clientId,
          who: `${grant?.noun ?? proving.noun} of application ${clientId}`,
          person,
          secrets,
          options: { ...requested, enableCae: requested.enableCae ?? enableCae },
          agent,
        },
        proof,
        (app) => ask(app, { scopes: [scope], skipCache: true, ...(claims === undefined ? {} : { claims }) }),
      );
    },
  });
}

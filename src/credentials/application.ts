import { type AuthorityOptions, resolveAuthority } from './authority.js';
import type { Credential } from './credential.js';
import { defineCredential } from './define-credential.js';
import type { HttpAgent } from './http-request.js';
import { type ClientProof, throughConfidentialApp } from './msal.js';
import { requireClientId } from './require-option.js';

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
interface Proving {
  method: string;
  /** What proves it, for error messages: `client secret`. */
  noun: string;
  /** What decides which tokens come out, beside the application. */
  identity: readonly unknown[];
  /** The proof of the moment, and what in it must not turn up in an error. */
  prove(): Promise<{ proof: ClientProof; secrets: readonly string[] }>;
}

/**
 * An application that signs in as itself: the client credentials grant (RFC 6749 section 4.4).
 *
 * @throws ConfigurationError naming the key
 */
export function applicationCredential(options: ApplicationOptions, proving: Proving): Credential {
  const { agent, enableCae } = options;
  const clientId = requireClientId(options.clientId);
  const authority = resolveAuthority(options);
  return defineCredential({
    method: proving.method,
    id: clientId,
    tenantId: authority.tenantId,
    identity: [authority.tokenEndpoint.href, clientId, enableCae, agent, ...proving.identity],
    async request(scope, requested) {
      const { proof, secrets } = await proving.prove();
      const { claims } = requested;
      return throughConfidentialApp(
        {
          authority: authority.inTenant(requested.tenantId),
          clientId,
          who: `${proving.noun} of application ${clientId}`,
          secrets,
          options: { ...requested, enableCae: requested.enableCae ?? enableCae },
          agent,
        },
        proof,
        (app) =>
          app.acquireTokenByClientCredential({
            scopes: [scope],
            skipCache: true,
            ...(claims === undefined ? {} : { claims }),
          }),
      );
    },
  });
}

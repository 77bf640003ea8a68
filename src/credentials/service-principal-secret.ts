import { type AuthorityOptions, resolveAuthority } from './authority.js';
import type { Credential, Secret } from './credential.js';
import { defineCredential } from './define-credential.js';
import type { HttpAgent } from './http-request.js';
import { currentSecret, throughConfidentialApp } from './msal.js';
import { requireClientId, requireSecret } from './require-option.js';

/** An application that proves who it is by a client secret. */
export interface ServicePrincipalSecretOptions extends AuthorityOptions {
  method?: 'service-principal-secret' | undefined;
  /** Application (client) id of the app registration. */
  clientId: string;
  /** Value of the secret, not its id; a function where it rotates. */
  clientSecret: Secret;
  /** Continuous access evaluation: tokens that live up to 28 h and can be revoked. */
  enableCae?: boolean | undefined;
  agent?: HttpAgent | undefined;
}

/** @throws ConfigurationError naming the key */
export function servicePrincipalSecret(options: ServicePrincipalSecretOptions): Credential {
  const { agent, enableCae } = options;
  const clientId = requireClientId(options.clientId);
  const clientSecret = requireSecret(options.clientSecret, 'clientSecret');
  const authority = resolveAuthority(options);
  return defineCredential({
    method: 'service-principal-secret',
    id: clientId,
    tenantId: authority.tenantId,
    identity: [authority.tokenEndpoint.href, clientId, clientSecret, enableCae, agent],
    async request(scope, requested) {
      const secret = await currentSecret(clientSecret, 'clientSecret');
      const request = {
        authority: authority.inTenant(requested.tenantId),
        clientId,
        who: `client secret of application ${clientId}`,
        secrets: [secret],
        options: { ...requested, enableCae: requested.enableCae ?? enableCae },
        agent,
      };
      const { claims } = requested;
      return throughConfidentialApp(request, { clientSecret: secret }, (app) =>
        app.acquireTokenByClientCredential({
          scopes: [scope],
          skipCache: true,
          ...(claims === undefined ? {} : { claims }),
        }),
      );
    },
  });
}

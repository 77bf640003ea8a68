import { CredentialUnavailableError } from '../../errors.js';
import type { Credential } from '../credential.js';
import type { AuthorityOptions } from '../entra/authority.js';
import { type Environment, readEnvironment } from '../input/environment.js';
import { inTenant } from '../input/require-option.js';
import { defineMethod } from './method.js';
import { usernamePassword } from './password.js';
import { servicePrincipalCertificate } from './service-principal-certificate.js';
import { servicePrincipalSecret } from './service-principal-secret.js';
import { workloadIdentity } from './workload-identity.js';

/** The environment variables of `@azure/identity`'s EnvironmentCredential. */
export interface EnvironmentOptions {
  method: 'environment';
}

/**
 * `AZURE_TENANT_ID` and `AZURE_CLIENT_ID` with `AZURE_CLIENT_SECRET`, or `AZURE_CLIENT_CERTIFICATE_PATH` (and
 * `AZURE_CLIENT_CERTIFICATE_PASSWORD`, `AZURE_CLIENT_SEND_CERTIFICATE_CHAIN`), or `AZURE_USERNAME` and `AZURE_PASSWORD`.
 *
 * @param authority used if `AZURE_AUTHORITY_HOST` is not set
 * @throws CredentialUnavailableError if no such set is complete; ConfigurationError if one is invalid
 */
export function fromEnvironment(authority: AuthorityOptions = {}, env: Environment = readEnvironment()): Credential {
  const { AZURE_TENANT_ID: tenantId, AZURE_CLIENT_ID: clientId } = env;
  if (tenantId !== undefined && clientId !== undefined) {
    if (env.AZURE_CLIENT_SECRET !== undefined) {
      return servicePrincipalSecret({ ...authority, tenantId, clientId, clientSecret: env.AZURE_CLIENT_SECRET });
    }
    if (env.AZURE_CLIENT_CERTIFICATE_PATH !== undefined) {
      return servicePrincipalCertificate({
        ...authority,
        tenantId,
        clientId,
        certificatePath: env.AZURE_CLIENT_CERTIFICATE_PATH,
        certificatePassword: env.AZURE_CLIENT_CERTIFICATE_PASSWORD,
        sendCertificateChain: /^(1|true)$/i.test(env.AZURE_CLIENT_SEND_CERTIFICATE_CHAIN ?? ''),
      });
    }
  }
  if (env.AZURE_USERNAME !== undefined && env.AZURE_PASSWORD !== undefined) {
    const { AZURE_USERNAME: username, AZURE_PASSWORD: password } = env;
    return usernamePassword({ ...authority, ...inTenant(tenantId), clientId, username, password });
  }
  throw new CredentialUnavailableError('The AZURE_* variables do not describe a complete credential.', {
    hint: missing(env),
  });
}

function missing(env: Environment): string {
  const wanted: string[] = (['AZURE_TENANT_ID', 'AZURE_CLIENT_ID'] as const).filter((name) => env[name] === undefined);
  if (env.AZURE_CLIENT_SECRET === undefined && env.AZURE_CLIENT_CERTIFICATE_PATH === undefined) {
    wanted.push('AZURE_CLIENT_SECRET (or AZURE_CLIENT_CERTIFICATE_PATH)');
  }
  return `Not set: ${wanted.join(', ')}.`;
}

/** @throws CredentialUnavailableError outside a cluster with workload identity */
export function workloadIdentityFromEnvironment(
  clientId: string | undefined,
  authority: AuthorityOptions,
  env: Environment,
): Credential {
  if (env.AZURE_FEDERATED_TOKEN_FILE === undefined) {
    throw new CredentialUnavailableError('AZURE_FEDERATED_TOKEN_FILE is not set.');
  }
  return workloadIdentity({ ...authority, clientId }, env);
}

export const environmentMethod = defineMethod<EnvironmentOptions>({
  name: 'environment',
  options: {},
  create: (_, { authority }) => fromEnvironment(authority),
});

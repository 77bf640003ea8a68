import { CredentialUnavailableError } from '../../errors.js';
import type { Credential } from '../credential.js';
import type { AuthorityOptions } from '../entra/authority.js';
import { usernamePassword } from './password.js';
import { servicePrincipalCertificate } from './service-principal-certificate.js';
import { servicePrincipalSecret } from './service-principal-secret.js';
import { workloadIdentity } from './workload-identity.js';

/** What the variables of `@azure/identity`'s EnvironmentCredential say. */
export interface EnvironmentOptions {
  method: 'environment';
}

/**
 * `AZURE_TENANT_ID` and `AZURE_CLIENT_ID` with `AZURE_CLIENT_SECRET`, or `AZURE_CLIENT_CERTIFICATE_PATH` (and
 * `AZURE_CLIENT_CERTIFICATE_PASSWORD`, `AZURE_CLIENT_SEND_CERTIFICATE_CHAIN`), or `AZURE_USERNAME` and `AZURE_PASSWORD`.
 *
 * @param authority for where `AZURE_AUTHORITY_HOST` is not set
 * @throws CredentialUnavailableError where no such set is complete; ConfigurationError where one is wrong
 */
export function fromEnvironment(authority: AuthorityOptions = {}): Credential {
  const { env } = process;
  const tenantId = env.AZURE_TENANT_ID || undefined;
  const clientId = env.AZURE_CLIENT_ID || undefined;
  if (tenantId !== undefined && clientId !== undefined) {
    if (env.AZURE_CLIENT_SECRET) {
      return servicePrincipalSecret({ ...authority, tenantId, clientId, clientSecret: env.AZURE_CLIENT_SECRET });
    }
    if (env.AZURE_CLIENT_CERTIFICATE_PATH) {
      return servicePrincipalCertificate({
        ...authority,
        tenantId,
        clientId,
        certificatePath: env.AZURE_CLIENT_CERTIFICATE_PATH,
        certificatePassword: env.AZURE_CLIENT_CERTIFICATE_PASSWORD || undefined,
        sendCertificateChain: /^(1|true)$/i.test(env.AZURE_CLIENT_SEND_CERTIFICATE_CHAIN ?? ''),
      });
    }
  }
  if (env.AZURE_USERNAME && env.AZURE_PASSWORD) {
    const { AZURE_USERNAME: username, AZURE_PASSWORD: password } = env;
    return usernamePassword({ ...authority, tenantId, clientId, username, password });
  }
  throw new CredentialUnavailableError('The AZURE_* variables name no complete credential.', { hint: missing(env) });
}

function missing(env: NodeJS.ProcessEnv): string {
  const wanted = ['AZURE_TENANT_ID', 'AZURE_CLIENT_ID'].filter((name) => !env[name]);
  const proof = env.AZURE_CLIENT_SECRET || env.AZURE_CLIENT_CERTIFICATE_PATH;
  if (!proof) wanted.push('AZURE_CLIENT_SECRET (or AZURE_CLIENT_CERTIFICATE_PATH)');
  return `Not set: ${wanted.join(', ')}.`;
}

/** @throws CredentialUnavailableError outside a cluster with workload identity */
export function workloadIdentityFromEnvironment(clientId?: string, authority: AuthorityOptions = {}): Credential {
  if (!process.env.AZURE_FEDERATED_TOKEN_FILE) {
    throw new CredentialUnavailableError('AZURE_FEDERATED_TOKEN_FILE is not set.');
  }
  return workloadIdentity({ ...authority, clientId });
}

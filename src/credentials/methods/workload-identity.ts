import type { Credential } from '../credential.js';
import { federationHint } from '../entra/federation-hint.js';
import { readEnvironment } from '../input/environment.js';
import { inTenant, requireText } from '../input/require-option.js';
import { APPLICATION_OPTIONS, type ApplicationOptions, applicationCredential } from './application.js';
import { readTokenFile } from './federated/token-file.js';
import { defineMethod } from './method.js';

/** AKS workload identity: the cluster writes its own token into a file and keeps it fresh. */
export interface WorkloadIdentityOptions extends Omit<ApplicationOptions, 'clientId'> {
  method?: 'workload-identity' | undefined;
  /** Default `AZURE_CLIENT_ID`. `tenantId`: default `AZURE_TENANT_ID`. */
  clientId?: string;
  /** Default `AZURE_FEDERATED_TOKEN_FILE`. */
  tokenFilePath?: string | undefined;
}

const HINT = 'The AKS webhook sets it in pods labelled azure.workload.identity/use: "true".';

/** @throws ConfigurationError naming the option */
export function workloadIdentity(
  options: Omit<WorkloadIdentityOptions, 'clientId'> & { clientId?: string | undefined },
  env = readEnvironment(),
): Credential {
  const path = requireText(
    options.tokenFilePath ?? env.AZURE_FEDERATED_TOKEN_FILE,
    'tokenFilePath',
    `Set it, or AZURE_FEDERATED_TOKEN_FILE. ${HINT}`,
  );
  const clientId = requireText(
    options.clientId ?? env.AZURE_CLIENT_ID,
    'clientId',
    `Set it, or AZURE_CLIENT_ID. ${HINT}`,
  );
  const tenantId = options.tenantId ?? env.AZURE_TENANT_ID;
  const option = options.tokenFilePath === undefined ? 'AZURE_FEDERATED_TOKEN_FILE' : 'tokenFilePath';
  return applicationCredential(
    { ...options, clientId, ...inTenant(tenantId) },
    {
      method: 'workload-identity',
      noun: 'workload identity',
      identity: [path],
      async prove() {
        // Read for each request: the cluster replaces the token about every hour.
        const jwt = await readTokenFile(path, option);
        return { proof: { clientAssertion: jwt }, secrets: [jwt], explain: (aadsts) => federationHint(jwt, aadsts) };
      },
    },
  );
}

export const workloadIdentityMethod = defineMethod<WorkloadIdentityOptions>({
  name: 'workload-identity',
  options: { ...APPLICATION_OPTIONS, tokenFilePath: true },
  impliedBy: ['tokenFilePath'],
  selectedBy: ['clientId'],
  create: (options) => workloadIdentity(options),
});

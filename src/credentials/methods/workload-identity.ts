import { readFile } from 'node:fs/promises';
import { ConfigurationError, TokenUnavailableError } from '../../errors.js';
import type { Credential } from '../credential.js';
import { requireText } from '../input/require-option.js';
import { type ApplicationOptions, applicationCredential } from './application.js';

/** AKS workload identity: the cluster puts a token of its own into a file, and keeps it fresh there. */
export interface WorkloadIdentityOptions extends Omit<ApplicationOptions, 'clientId'> {
  method?: 'workload-identity' | undefined;
  /** Default `AZURE_CLIENT_ID`. `tenantId`: default `AZURE_TENANT_ID`. */
  clientId?: string | undefined;
  /** Default `AZURE_FEDERATED_TOKEN_FILE`. */
  tokenFilePath?: string | undefined;
}

const HINT = 'The AKS webhook sets it in pods labelled azure.workload.identity/use: "true".';

/** @throws ConfigurationError naming the key */
export function workloadIdentity(options: WorkloadIdentityOptions): Credential {
  const { env } = process;
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
  return applicationCredential(
    { ...options, clientId, tenantId },
    {
      method: 'workload-identity',
      noun: 'workload identity',
      identity: [path],
      async prove() {
        // Read each time: the cluster replaces it about every hour.
        const jwt = await readTokenFile(path);
        return { proof: { clientAssertion: jwt }, secrets: [jwt] };
      },
    },
  );
}

async function readTokenFile(path: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new TokenUnavailableError(
      `The token file '${path}' cannot be read (${(cause as NodeJS.ErrnoException).code}).`,
      {
        cause,
      },
    );
  }
  const jwt = text.trim();
  if (jwt.split('.').length === 3) return jwt;
  throw new ConfigurationError(`The token file '${path}' holds no token (JWT).`);
}

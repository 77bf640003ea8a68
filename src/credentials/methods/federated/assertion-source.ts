import type { GetTokenOptions, Secret } from '../../credential.js';
import type { HttpAgent } from '../../entra/http-request.js';
import type { Environment } from '../../input/environment.js';

/**
 * Where the assertion of a federated credential comes from:
 *
 * - `'managed-identity'`, or `{ managedIdentity: { clientId } }` for a user-assigned one: an app registration without a
 *   secret, even in another tenant
 * - `'github-actions'`: the workflow needs `permissions: id-token: write`
 * - `'google-cloud'`: the service account of a VM, Cloud Run, Cloud Functions or GKE
 * - `'aws'`: the role of this process, through `GetWebIdentityToken` of STS
 * - `{ variable: 'NAME' }`: GitLab (`id_tokens`), Terraform Cloud (`TFC_WORKLOAD_IDENTITY_TOKEN`)
 * - `{ file: '/path' }`: Kubernetes, SPIFFE, EKS. It is read for each request, so that a rotated token is used.
 * - a function that returns the token
 */
export type FederatedSource =
  | 'managed-identity'
  | 'github-actions'
  | 'google-cloud'
  | 'aws'
  | {
      managedIdentity: {
        clientId?: string;
        objectId?: string;
        resourceId?: string;
      };
    }
  | { variable: string }
  | { file: string }
  | Exclude<Secret, string>;

/** Arguments of a request for one assertion. */
export interface AssertionRequest {
  audience: string;
  environment: Environment;
  agent: HttpAgent | undefined;
  abortSignal: GetTokenOptions['abortSignal'];
}

/** One issuer of assertions. */
export interface AssertionSource {
  /** For error messages: `GitHub Actions`. */
  name: string;
  /** Everything besides the environment that decides which assertions it returns. */
  identity: readonly unknown[];
  /** Time limit, ms, if the usual 10 s are too short. */
  requestTimeoutMs?: number | undefined;
  /** @returns a JWT */
  getAssertion(request: AssertionRequest): Promise<string>;
}

import { ConfigurationError, CredentialRejectedError } from '../../errors.js';
import { readCertificate } from '../certificate/certificate.js';
import type { Credential } from '../credential.js';
import { httpExchange, jsonObject } from '../entra/http-request.js';
import { readJwtClaims } from '../entra/jwt-claims.js';
import { oauthRefusal } from '../entra/oauth-refusal.js';
import { identityOf, shareIdentity } from '../identity.js';
import { requireText } from '../input/require-option.js';
import { type ApplicationOptions, applicationCredential } from './application.js';
import { longestRequestMs, managedIdentity } from './managed-identity.js';

/** An application whose certificate is in a Key Vault that the managed identity of this machine may read. */
export interface KeyVaultCertificateOptions extends Omit<ApplicationOptions, 'tenantId'> {
  /** `https://<vault>.vault.azure.net/secrets/<name>[/<version>]`. */
  certificateSecret: string;
  /** Default: the tenant of the managed identity. */
  tenantId?: string | undefined;
  /** Client id of a user-assigned managed identity to read the vault with. */
  vaultIdentityClientId?: string | undefined;
  /** As for a managed identity. */
  retryTimeoutMs?: number | undefined;
}

const SECRETS_API = '7.4';
/** For the vault and the identity provider, once the managed identity has its token. */
const REQUEST_MS = 20_000;

/** @throws ConfigurationError naming the keyword of the connection string */
export function keyVaultCertificate(options: KeyVaultCertificateOptions): Credential {
  const url = secretUrl(options.certificateSecret);
  const { vaultIdentityClientId, retryTimeoutMs } = options;
  const identity = managedIdentity({ clientId: vaultIdentityClientId, retryTimeoutMs });
  const identityParts = [url.href, vaultIdentityClientId, identityOf(identity)];
  const { tenantId } = options;
  if (tenantId !== undefined) return credentialIn(tenantId);
  // The tenant is that of the managed identity, which is known only once there is a token for the vault.
  let inner: Credential | undefined;
  const outer = credentialIn('organizations');
  const credential: Credential = {
    ...outer,
    async getToken(scopes, requested) {
      inner ??= credentialIn(requireText(readJwtClaims(await vaultToken())?.tenantId, 'TenantId'));
      return inner.getToken(scopes, requested);
    },
    get principal() {
      return (inner ?? outer).principal;
    },
  };
  shareIdentity(credential, outer);
  return credential;

  function credentialIn(tenant: string): Credential {
    return applicationCredential(
      { ...options, tenantId: tenant },
      {
        method: 'service-principal-certificate',
        noun: 'certificate',
        identity: identityParts,
        // The vault is read with an identity of this machine.
        sameEverywhere: vaultIdentityClientId !== undefined,
        requestTimeoutMs: longestRequestMs(retryTimeoutMs) + REQUEST_MS,
        async prove() {
          const { thumbprintSha256, privateKey } = await readCertificate(
            await readSecret(url, await vaultToken()),
            undefined,
            'KeyVaultCertificateSecretIdentifier',
          );
          return { proof: { clientCertificate: { thumbprintSha256, privateKey } }, secrets: [privateKey] };
        },
      },
    );
  }

  async function vaultToken(): Promise<string> {
    const answer = await identity.getToken(`https://${vaultDomain(url)}/.default`);
    return answer?.token ?? '';
  }
}

function secretUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const here = url?.protocol === 'http:' && /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  if (url !== undefined && (url.protocol === 'https:' || here) && /^\/secrets\/[\w-]+(\/\w+)?\/?$/.test(url.pathname))
    return url;
  throw new ConfigurationError(
    "'KeyVaultCertificateSecretIdentifier' must be https://<vault>.vault.azure.net/secrets/<name>.",
  );
}

/** Public, China and US Government vaults have different audiences. */
function vaultDomain(url: URL): string {
  return /\.(vault\.azure\.cn|vault\.usgovcloudapi\.net)$/.exec(url.hostname)?.[1] ?? 'vault.azure.net';
}

/** The secret behind a Key Vault certificate: PEM text, or PFX as base64. */
async function readSecret(url: URL, token: string): Promise<string> {
  const target = new URL(url);
  target.searchParams.set('api-version', SECRETS_API);
  const reply = await httpExchange({ url: target, headers: { authorization: `Bearer ${token}` } });
  const body = jsonObject(reply.body);
  if (reply.status === 200 && typeof body?.value === 'string') return body.value;
  if (reply.status === 401 || reply.status === 403 || reply.status === 404) {
    throw new CredentialRejectedError(`Key Vault does not return the certificate (HTTP ${reply.status}).`, {
      status: reply.status,
      hint: "Let the managed identity read secrets of the vault, and check the secret's name.",
    });
  }
  throw oauthRefusal(reply, body, { answeredBy: 'Key Vault', who: 'return the certificate' });
}

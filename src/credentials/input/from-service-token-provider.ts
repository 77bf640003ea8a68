import { ConfigurationError } from '../../errors.js';
import type { Credential } from '../credential.js';
import type { AuthorityOptions } from '../entra/authority.js';
import { developerTool } from '../methods/developer-tools.js';
import { keyVaultCertificate } from '../methods/key-vault-certificate.js';
import { managedIdentity } from '../methods/managed-identity.js';
import { servicePrincipalCertificate } from '../methods/service-principal-certificate.js';
import { servicePrincipalSecret } from '../methods/service-principal-secret.js';
import { inTenant, requireSelectedKeys } from './require-option.js';

/** Keys of AzureServiceTokenProvider's connection strings, and our own `CertificatePath` and `CertificatePassword`. */
export const SERVICE_TOKEN_PROVIDER_KEYS: readonly string[] = [
  'RunAs',
  'DeveloperTool',
  'AppId',
  'AppKey',
  'TenantId',
  'CertificateStoreLocation',
  'CertificateThumbprint',
  'CertificateSubjectName',
  'KeyVaultCertificateSecretIdentifier',
  'KeyVaultUserAssignedManagedIdentityId',
  'MsiRetryTimeout',
  'CertificatePath',
  'CertificatePassword',
].map((key) => key.toLowerCase());

/**
 * The credential that a connection string of .NET's AzureServiceTokenProvider describes, e.g.
 * `RunAs=App;AppId=...;TenantId=...;AppKey=...`. The errors of forms that need Windows name an alternative.
 * https://learn.microsoft.com/dotnet/api/overview/azure/service-to-service-authentication
 *
 * @throws ConfigurationError naming the key; values are never quoted
 */
export function fromServiceTokenProvider(
  entries: ReadonlyMap<string, string>,
  authority: AuthorityOptions,
): Credential {
  requireSelectedKeys(entries, SELECTS_WHO);
  const value = (key: string) => entries.get(key.toLowerCase()) || undefined;
  switch (value('RunAs')?.toLowerCase()) {
    case 'developer':
      return developer(value);
    case 'app':
      return application(value, authority);
    case 'currentuser':
      throw unsupported(
        "'RunAs=CurrentUser' needs Windows and the user's Kerberos ticket.",
        'RunAs=Developer;DeveloperTool=AzureCLI',
      );
    default:
      throw new ConfigurationError("Connection string: 'RunAs' must be App, Developer or CurrentUser.");
  }
}

/** Without these, a string for an application describes the managed identity of the machine. */
const SELECTS_WHO = [
  'AppId',
  'AppKey',
  'TenantId',
  'CertificatePath',
  'CertificateThumbprint',
  'CertificateSubjectName',
  'KeyVaultCertificateSecretIdentifier',
  'KeyVaultUserAssignedManagedIdentityId',
];

const WHERE: Readonly<Record<string, string>> = {
  AppId: 'It is the Application (client) ID of the app registration.',
  TenantId: 'It is the Directory (tenant) ID on the overview page of the app registration.',
};

type Values = (key: string) => string | undefined;

function developer(value: Values): Credential {
  switch (value('DeveloperTool')?.toLowerCase()) {
    case 'azurecli':
      return developerTool({ method: 'azure-cli', ...inTenant(value('TenantId')) });
    case 'visualstudio':
      throw unsupported("'DeveloperTool=VisualStudio' works only in .NET.", 'RunAs=Developer;DeveloperTool=AzureCLI');
    default:
      throw new ConfigurationError("Connection string: 'DeveloperTool' must be AzureCLI.");
  }
}

/** Precedence as in .NET: certificate store, Key Vault, secret, user-assigned identity, system-assigned identity. */
function application(value: Values, authority: AuthorityOptions): Credential {
  const retryTimeout = value('MsiRetryTimeout');
  if (retryTimeout !== undefined && !(/^\d+$/.test(retryTimeout) && Number(retryTimeout) <= 3600)) {
    throw new ConfigurationError(
      "Connection string: 'MsiRetryTimeout' must be a whole number of seconds, at most 3600.",
    );
  }
  // 0 is .NET's default and stands for its usual retries.
  const retryTimeoutMs = Number(retryTimeout ?? 0) * 1000 || undefined;
  const ofTheStore = ['CertificateThumbprint', 'CertificateSubjectName', 'CertificateStoreLocation'].find(value);
  if (ofTheStore !== undefined) {
    throw unsupported(
      `'${ofTheStore}' needs the Windows certificate store, which Node.js cannot reach.`,
      'RunAs=App;AppId=...;TenantId=...;CertificatePath=C:\\app.pfx;CertificatePassword=...',
    );
  }
  const clientId = value('AppId');
  const tenantId = value('TenantId');
  for (const [key, id] of Object.entries({ AppId: clientId, TenantId: tenantId })) {
    // Both are printed. Text that is not an id may contain further settings, including a secret, after a missing
    // semicolon.
    if (id === undefined || /^[\w.-]*$/.test(id)) continue;
    throw new ConfigurationError(`Connection string: '${key}' is not an id.`, {
      hint: "Settings are separated by semicolons: 'AppId=...;TenantId=...'.",
    });
  }
  const certificateSecret = value('KeyVaultCertificateSecretIdentifier');
  if (certificateSecret !== undefined) {
    const vaultIdentityClientId = value('KeyVaultUserAssignedManagedIdentityId');
    const app = { ...authority, clientId: needed(clientId, 'AppId'), tenantId };
    return keyVaultCertificate({ ...app, certificateSecret, vaultIdentityClientId, retryTimeoutMs });
  }
  const certificatePath = value('CertificatePath');
  const clientSecret = value('AppKey');
  if (certificatePath === undefined && clientSecret === undefined) return managedIdentity({ clientId, retryTimeoutMs });
  const app = { ...authority, clientId: needed(clientId, 'AppId'), tenantId: needed(tenantId, 'TenantId') };
  if (certificatePath === undefined) return servicePrincipalSecret({ ...app, clientSecret: clientSecret ?? '' });
  return servicePrincipalCertificate({ ...app, certificatePath, certificatePassword: value('CertificatePassword') });
}

function needed(value: string | undefined, key: string): string {
  if (value !== undefined) return value;
  throw new ConfigurationError(`Connection string: '${key}' is missing.`, { hint: WHERE[key] });
}

function unsupported(what: string, instead: string): ConfigurationError {
  return new ConfigurationError(`Connection string: ${what}`, { hint: `Use instead: ${instead}` });
}

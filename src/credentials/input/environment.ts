/** Variables that select the endpoint of a managed identity; each endpoint has its own identities. */
export const MANAGED_IDENTITY_VARIABLES = [
  'IDENTITY_ENDPOINT',
  'IDENTITY_HEADER',
  'IDENTITY_SERVER_THUMBPRINT',
  'IMDS_ENDPOINT',
  'MSI_ENDPOINT',
  'MSI_SECRET',
  'DEFAULT_IDENTITY_CLIENT_ID',
  'AZURE_POD_IDENTITY_AUTHORITY_HOST',
  'ProgramFiles',
  'ProgramData',
] as const;

/** Variables that decide which developer tool runs, and which account it finds. */
export const DEVELOPER_TOOL_VARIABLES = [
  'PATH',
  'HOME',
  'USERPROFILE',
  'APPDATA',
  'LOCALAPPDATA',
  'XDG_CONFIG_HOME',
  'AZURE_CONFIG_DIR',
  'AZD_CONFIG_DIR',
  'PSModulePath',
] as const;

/**
 * Every environment variable that decides which token a credential gets. Credentials read them only from here, and once,
 * when they are created: the values are part of their identity (P9), so a change afterwards means another credential.
 */
const VARIABLES = [
  'AZURE_TENANT_ID',
  'AZURE_CLIENT_ID',
  'AZURE_CLIENT_SECRET',
  'AZURE_CLIENT_CERTIFICATE_PATH',
  'AZURE_CLIENT_CERTIFICATE_PASSWORD',
  'AZURE_CLIENT_SEND_CERTIFICATE_CHAIN',
  'AZURE_USERNAME',
  'AZURE_PASSWORD',
  'AZURE_AUTHORITY_HOST',
  'AZURE_FEDERATED_TOKEN_FILE',
  ...MANAGED_IDENTITY_VARIABLES,
  ...DEVELOPER_TOOL_VARIABLES,
  'SystemRoot',
  // Issuers of federated tokens.
  'ACTIONS_ID_TOKEN_REQUEST_URL',
  'ACTIONS_ID_TOKEN_REQUEST_TOKEN',
  'GCE_METADATA_HOST',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_REGION',
  'AWS_DEFAULT_REGION',
  'AWS_ENDPOINT_URL_STS',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE',
  'AWS_EC2_METADATA_DISABLED',
  'AWS_EC2_METADATA_SERVICE_ENDPOINT',
  'AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  // The whole configuration in one variable, as .NET's AzureServiceTokenProvider reads it.
  'AzureServicesAuthConnectionString',
] as const;

export type VariableName = (typeof VARIABLES)[number];

/** The variables that are set; an empty one counts as not set, as in every Azure SDK. */
export type Environment = Readonly<Partial<Record<VariableName, string>>>;

/** A copy that does not change when `process.env` does. */
export function readEnvironment(): Environment {
  const values: Partial<Record<VariableName, string>> = {};
  for (const name of VARIABLES) {
    const value = process.env[name];
    if (value !== undefined && value !== '') values[name] = value;
  }
  return values;
}

/** The value of a variable that the caller names in an option; undefined if it is not set or empty. */
export function readVariable(name: string): string | undefined {
  return process.env[name] || undefined;
}

/** The values of these variables, for the identity of a credential. */
export function valuesOf(names: readonly VariableName[], environment: Environment): (string | null)[] {
  return names.map((name) => environment[name] ?? null);
}

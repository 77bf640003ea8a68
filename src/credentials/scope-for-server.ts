/** Scope of Azure SQL, Managed Instance and Synapse in the public cloud, and of SQL Server with Entra (Arc). */
export const PUBLIC_SQL_SCOPE = 'https://database.windows.net/.default';

export const PUBLIC_AUTHORITY_HOST = 'https://login.microsoftonline.com';

/**
 * Which resource a server belongs to, by the end of its name. Synapse (`*.sql.azuresynapse.net`) and Fabric
 * (`*.fabric.microsoft.com`) take tokens for Azure SQL's own resource, as FEDAUTHINFO from them says.
 * https://learn.microsoft.com/azure/azure-sql/database/authentication-aad-overview
 */
const SCOPES: readonly [suffix: string, scope: string][] = [
  ['.database.usgovcloudapi.net', 'https://database.usgovcloudapi.net/.default'],
  ['.sql.azuresynapse.usgovcloudapi.net', 'https://database.usgovcloudapi.net/.default'],
  ['.database.chinacloudapi.cn', 'https://database.chinacloudapi.cn/.default'],
  ['.sql.azuresynapse.azure.cn', 'https://database.chinacloudapi.cn/.default'],
];

/**
 * The scope of the token that a server wants, chosen from its name (`host`, `tcp:host,port`, `host\instance`). Anything
 * unknown, own DNS names and private endpoints included, gets the public cloud's.
 */
export function scopeForServer(serverName: string): string {
  const host = hostOf(serverName);
  return SCOPES.find(([suffix]) => host.endsWith(suffix))?.[1] ?? PUBLIC_SQL_SCOPE;
}

/** The authority that goes with a server's cloud, e.g. `https://login.microsoftonline.us`. */
export function authorityHostForServer(serverName: string): string {
  const scope = scopeForServer(serverName);
  if (scope.includes('usgovcloudapi')) return 'https://login.microsoftonline.us';
  if (scope.includes('chinacloudapi')) return 'https://login.partner.microsoftonline.cn';
  return PUBLIC_AUTHORITY_HOST;
}

function hostOf(serverName: string): string {
  const bare = serverName.trim().replace(/^(tcp|admin):/i, '');
  return bare
    .replace(/[,\\].*$/, '')
    .replace(/\.$/, '')
    .toLowerCase();
}

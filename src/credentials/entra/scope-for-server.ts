import { ConfigurationError } from '../../errors.js';

/** Scope of Azure SQL, Managed Instance and Synapse in the public cloud, and of SQL Server with Entra (Arc). */
export const PUBLIC_SQL_SCOPE = 'https://database.windows.net/.default';

export const PUBLIC_AUTHORITY_HOST = 'https://login.microsoftonline.com';

/**
 * The clouds other than the public one: their identity provider, the resource of their databases, and how the names of
 * their servers end. Synapse and Fabric accept tokens for Azure SQL's own resource, as their FEDAUTHINFO shows.
 * https://learn.microsoft.com/azure/azure-sql/database/authentication-aad-overview
 */
const CLOUDS = [
  {
    authority: 'https://login.microsoftonline.us',
    scope: 'https://database.usgovcloudapi.net/.default',
    suffixes: ['.database.usgovcloudapi.net', '.sql.azuresynapse.usgovcloudapi.net'],
  },
  {
    authority: 'https://login.partner.microsoftonline.cn',
    scope: 'https://database.chinacloudapi.cn/.default',
    suffixes: ['.database.chinacloudapi.cn', '.sql.azuresynapse.azure.cn'],
  },
] as const;

/**
 * The scope of the token for a server, chosen by its name (`host`, `tcp:host,port`, `host\instance`). Any other name,
 * such as a custom DNS name or a private endpoint, gets the public cloud's.
 */
export function scopeForServer(serverName: string): string {
  return cloudOf(serverName)?.scope ?? PUBLIC_SQL_SCOPE;
}

/** The authority that goes with a server's cloud, e.g. `https://login.microsoftonline.us`. */
export function authorityHostForServer(serverName: string): string {
  return cloudOf(serverName)?.authority ?? PUBLIC_AUTHORITY_HOST;
}

/** The scope of the databases in an identity provider's cloud, for a sign-in without a server. */
export function scopeForAuthority({ origin }: URL): string {
  return CLOUDS.find(({ authority }) => authority === origin)?.scope ?? PUBLIC_SQL_SCOPE;
}

function cloudOf(serverName: string) {
  const host = hostOf(serverName);
  return CLOUDS.find(({ suffixes }) => suffixes.some((suffix) => host.endsWith(suffix)));
}

/** A host name has at most 253 characters (RFC 1035 section 2.3.4); a longer name belongs to no cloud. */
const LONGEST_NAME = 1_000;

function hostOf(serverName: string): string {
  if (typeof serverName !== 'string') throw new ConfigurationError('The name of the server must be a string.');
  const bare = serverName
    .slice(0, LONGEST_NAME)
    .trim()
    .replace(/^(tcp|admin):/i, '');
  const end = [bare.indexOf(','), bare.indexOf('\\')].filter((at) => at !== -1);
  const host = bare.slice(0, Math.min(...end, bare.length)).trim();
  return (host.endsWith('.') ? host.slice(0, -1) : host).toLowerCase();
}

import { ConfigurationError } from '../../errors.js';
import type { Credential, TokenCredential } from '../credential.js';
import type { AuthorityOptions } from '../entra/authority.js';
import { optionalText } from '../input/require-option.js';
import { type ChainMember, chain, identityOfChain, membersOf } from './chain.js';
import { type DeveloperToolOptions, developerTool } from './developer-tools.js';
import { fromEnvironment, workloadIdentityFromEnvironment } from './environment.js';
import { managedIdentity } from './managed-identity.js';

/** A member of the default chain. */
export type ChainMemberName =
  | 'environment'
  | 'workload-identity'
  | 'managed-identity'
  | 'azure-cli'
  | 'azure-developer-cli'
  | 'azure-powershell';

/** Several ways, tried in order until one exists here. */
export interface ChainOptions {
  method: 'chain';
  /** Names of ways, in the order in which they are tried. Default: environment, workload identity, managed identity, tools. */
  members?: readonly ChainMemberName[] | undefined;
  /** Or credentials of your own. */
  credentials?: readonly TokenCredential[] | undefined;
  /** Client id of the workload identity or user-assigned managed identity. Default `AZURE_CLIENT_ID`. */
  clientId?: string | undefined;
  /** For the developer tools. */
  tenantId?: string | undefined;
}

const DEFAULT_MEMBERS: readonly ChainMemberName[] = [
  'environment',
  'workload-identity',
  'managed-identity',
  'azure-cli',
  'azure-developer-cli',
  'azure-powershell',
];
/** A tool that takes longer is as good as missing, in a chain. */
const TOOL_TIMEOUT_MS = 15_000;
/** All members together: the managed identity of a machine that has just started may need most of it. */
const REQUEST_TIMEOUT_MS = 180_000;

/**
 * @param authority for the members that `AZURE_AUTHORITY_HOST` would tell it, where that is not set
 * @throws ConfigurationError naming the key
 */
export function defaultChain(options: Omit<ChainOptions, 'method'> = {}, authority: AuthorityOptions = {}): Credential {
  const { credentials, members = DEFAULT_MEMBERS } = options;
  if (credentials !== undefined) {
    if (options.members !== undefined) throw new ConfigurationError("Give either 'members' or 'credentials'.");
    const ways = membersOf(credentials);
    return chain('chain', ways, REQUEST_TIMEOUT_MS, [identityOfChain(credentials)]);
  }
  const clientId = optionalText(options.clientId, 'clientId');
  const tenantId = optionalText(options.tenantId, 'tenantId');
  if (!Array.isArray(members) || members.length === 0) {
    throw new ConfigurationError("'members' must be a list of at least one name.");
  }
  const ways = members.map((name: ChainMemberName) => memberOf(name, { clientId, tenantId, authority }));
  const identity = ['members', members.join(' '), clientId, tenantId, authority.authority];
  return chain('chain', ways, REQUEST_TIMEOUT_MS, identity);
}

interface MemberOptions {
  clientId: string | undefined;
  tenantId: string | undefined;
  authority: AuthorityOptions;
}

function memberOf(name: ChainMemberName, { clientId, tenantId, authority }: MemberOptions): ChainMember {
  const tool = (method: DeveloperToolOptions['method']) => ({
    name,
    credential: () => developerTool({ method, tenantId, timeoutMs: TOOL_TIMEOUT_MS }),
  });
  switch (name) {
    case 'environment':
      return { name, credential: () => fromEnvironment(authority) };
    case 'workload-identity':
      return { name, credential: () => workloadIdentityFromEnvironment(clientId, authority) };
    case 'managed-identity': {
      const credential = () =>
        managedIdentity({ clientId: clientId ?? (process.env.AZURE_CLIENT_ID || undefined) }, { probe: true });
      return { name, credential };
    }
    case 'azure-cli':
    case 'azure-developer-cli':
    case 'azure-powershell':
      return tool(name);
    default:
      throw new ConfigurationError(`There is no chain member '${String(name)}'.`, {
        hint: `Members: ${DEFAULT_MEMBERS.join(', ')}.`,
      });
  }
}

import { ConfigurationError } from '../../errors.js';
import type { Credential, TokenCredential } from '../credential.js';
import type { AuthorityOptions } from '../entra/authority.js';
import { didYouMean } from '../input/did-you-mean.js';
import { type Environment, readEnvironment } from '../input/environment.js';
import { inTenant, optionalText } from '../input/require-option.js';
import { type DeveloperToolOptions, developerTool } from './developer-tools.js';
import { fromEnvironment, workloadIdentityFromEnvironment } from './environment.js';
import { type ChainMember, firstAvailable, identityOfChain, membersOf } from './first-available.js';
import { managedIdentity } from './managed-identity.js';
import { defineMethod } from './method.js';

/** A member of the default chain. */
export type ChainMemberName =
  | 'environment'
  | 'workload-identity'
  | 'managed-identity'
  | 'azure-cli'
  | 'azure-developer-cli'
  | 'azure-powershell';

/** Several methods, tried in order until one is available here. */
export interface ChainOptions {
  method: 'chain';
  /**
   * Names of methods, in the order in which they are tried. Default: environment, workload identity, managed identity,
   * developer tools.
   */
  members?: readonly ChainMemberName[] | undefined;
  /** Credential objects, instead of `members`. */
  credentials?: readonly TokenCredential[] | undefined;
  /** Client id of the workload identity or user-assigned managed identity. Default `AZURE_CLIENT_ID`. */
  clientId?: string;
  /** For the developer tools. */
  tenantId?: string;
}

const DEFAULT_MEMBERS: readonly ChainMemberName[] = [
  'environment',
  'workload-identity',
  'managed-identity',
  'azure-cli',
  'azure-developer-cli',
  'azure-powershell',
];
/** In a chain, a tool that takes longer than this counts as missing. */
const TOOL_TIMEOUT_MS = 15_000;
/** For all members together; the managed identity of a machine that has just started may need most of it. */
const REQUEST_TIMEOUT_MS = 180_000;

/**
 * The environment is read now, not when a member is tried: it is part of the identity of the chain.
 *
 * @param authority used if `AZURE_AUTHORITY_HOST` is not set
 * @throws ConfigurationError naming the option
 */
export function defaultChain(
  options: Omit<ChainOptions, 'method' | 'clientId'> & { clientId?: string | undefined } = {},
  authority: AuthorityOptions = {},
): Credential {
  const { credentials, members = DEFAULT_MEMBERS } = options;
  if (credentials !== undefined) {
    if (options.members !== undefined) throw new ConfigurationError("Set either 'members' or 'credentials', not both.");
    return firstAvailable(membersOf(credentials), {
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      identity: [identityOfChain(credentials)],
    });
  }
  const clientId = optionalText(options.clientId, 'clientId');
  const tenantId = optionalText(options.tenantId, 'tenantId');
  if (!Array.isArray(members) || members.length === 0) {
    throw new ConfigurationError("'members' must be a list of at least one name.");
  }
  const environment = readEnvironment();
  const provider = environment.AZURE_AUTHORITY_HOST ?? authority.authority;
  const of = { clientId, tenantId, environment, authority: provider === undefined ? {} : { authority: provider } };
  return firstAvailable(
    members.map((name: ChainMemberName) => memberOf(name, of)),
    {
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      identity: ['members', members.join(' '), clientId, tenantId, provider],
      environment,
    },
  );
}

interface MemberOptions {
  clientId: string | undefined;
  tenantId: string | undefined;
  authority: AuthorityOptions;
  environment: Environment;
}

function memberOf(name: ChainMemberName, of: MemberOptions): ChainMember {
  const { clientId, tenantId, authority, environment } = of;
  const tool = (method: DeveloperToolOptions['method']) => ({
    name,
    credential: () => developerTool({ method, ...inTenant(tenantId), timeoutMs: TOOL_TIMEOUT_MS }, environment),
  });
  switch (name) {
    case 'environment':
      return { name, credential: () => fromEnvironment(authority, environment) };
    case 'workload-identity':
      return { name, credential: () => workloadIdentityFromEnvironment(clientId, authority, environment) };
    case 'managed-identity': {
      const credential = () =>
        managedIdentity({ clientId: clientId ?? environment.AZURE_CLIENT_ID }, { inChain: true, environment });
      return { name, credential };
    }
    case 'azure-cli':
    case 'azure-developer-cli':
    case 'azure-powershell':
      return tool(name);
    default:
      throw new ConfigurationError(`Unknown name in 'members' of the chain.${didYouMean(name, DEFAULT_MEMBERS)}`, {
        hint: `Names: ${DEFAULT_MEMBERS.join(', ')}.`,
      });
  }
}

export const chainMethod = defineMethod<ChainOptions>({
  name: 'chain',
  options: { members: true, credentials: true, clientId: true, tenantId: true },
  selectedBy: ['clientId'],
  create: (options, { authority }) => defaultChain(options, authority),
});

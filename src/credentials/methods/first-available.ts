import { ConfigurationError, CredentialUnavailableError, type TokenPoolError } from '../../errors.js';
import type { AccessToken, Credential, GetTokenOptions, TokenCredential } from '../credential.js';
import { defineCredential } from '../define-credential.js';
import { asCredentialFailure } from '../entra/provider-error.js';
import { identityOf } from '../identity.js';
import { SignedOutError } from './developer-tools.js';

/** One method among several that are tried in order. */
export interface ChainMember {
  /** For the message that lists the tried methods. */
  name: string;
  /** Called when its turn comes. Throws CredentialUnavailableError if the method is not available. */
  credential(): TokenCredential;
}

interface ChainDefinition {
  requestTimeoutMs: number;
  identity: readonly unknown[];
  environment?: object | undefined;
}

/**
 * Tries the members in order and keeps using the first that works. It moves on only if a method is not available here:
 * not after a wrong secret, because the next member would sign in as another principal, and not after a network
 * failure.
 *
 * @throws CredentialUnavailableError "Tried the following N methods", with the reason of each, if none is available
 */
export function firstAvailable(members: readonly ChainMember[], definition: ChainDefinition): Credential {
  const created = new Map<ChainMember, TokenCredential>();
  let winner: TokenCredential | undefined;
  return defineCredential({
    method: () => principalOf(winner)?.method ?? 'chain',
    id: () => principalOf(winner)?.id,
    tenantId: () => principalOf(winner)?.tenantId,
    ...definition,
    request: (scope, options) => winner?.getToken(scope, options) ?? firstThatWorks(scope, options),
  });

  async function firstThatWorks(scope: string, options: GetTokenOptions): Promise<AccessToken> {
    const reasons: string[] = [];
    const causes: Error[] = [];
    for (const member of members) {
      try {
        const credential = created.get(member) ?? member.credential();
        created.set(member, credential);
        const answer = await credential.getToken(scope, options);
        if (answer === null) throw new CredentialUnavailableError('It returned no token.');
        winner = credential;
        return answer;
      } catch (thrown) {
        const error = asCredentialFailure(thrown);
        if (!isNotHere(error)) throw error;
        reasons.push(`${member.name}: ${error.message}${error.hint === undefined ? '' : ` ${error.hint}`}`);
        causes.push(error);
      }
    }
    const list = reasons.map((reason, i) => `${i + 1}. ${reason}`).join('\n');
    throw new CredentialUnavailableError(
      `Tried the following ${members.length} methods to get a token, none is available here.\n${list}`,
      {
        cause: new AggregateError(causes, 'None is available here.'),
        hint: "Set up one of them, or select one with 'method'.",
      },
    );
  }
}

/** A tool without a signed-in account counts as missing. */
function isNotHere(error: TokenPoolError): boolean {
  return error instanceof CredentialUnavailableError || error instanceof SignedOutError;
}

function principalOf(credential: TokenCredential | undefined): Credential['principal'] | undefined {
  return (credential as Credential | undefined)?.principal;
}

/** The caller's own credentials as members. @throws ConfigurationError for an empty list */
export function membersOf(credentials: readonly TokenCredential[]): ChainMember[] {
  if (!Array.isArray(credentials) || credentials.length === 0) {
    throw new ConfigurationError("'credentials' must be a list of at least one credential.");
  }
  return credentials.map((credential, i) => ({
    name: principalOf(credential)?.method ?? `credential ${i + 1}`,
    credential: () => credential,
  }));
}

/** The identity of a chain: those of its members, in order. */
export function identityOfChain(credentials: readonly TokenCredential[]): string {
  return credentials.map(identityOf).join(' ');
}

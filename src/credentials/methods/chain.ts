import { ConfigurationError, CredentialUnavailableError, type TokenPoolError } from '../../errors.js';
import type { AccessToken, Credential, GetTokenOptions, TokenCredential } from '../credential.js';
import { defineCredential } from '../define-credential.js';
import { asCredentialFailure } from '../entra/provider-error.js';
import { identityOf } from '../identity.js';
import { SignedOutError } from './developer-tools.js';

/** One way among several that are tried in order. */
export interface ChainMember {
  /** For the message that lists what was tried. */
  name: string;
  /** Made when its turn comes. Throws CredentialUnavailableError where it does not exist here. */
  credential(): TokenCredential;
}

/**
 * Tries its members in order and stays with the first that works. Falls through only where a way does not exist here
 * (R13: never on a wrong secret, which would sign in as somebody else); a bad moment of the network is not "does not
 * exist" either.
 *
 * @throws CredentialUnavailableError "Tried the following N methods", with each one's reason, when none exists here
 */
export function chain(
  method: string,
  members: readonly ChainMember[],
  requestTimeoutMs: number,
  identity: readonly unknown[],
): Credential {
  const made = new Map<ChainMember, TokenCredential>();
  let winner: TokenCredential | undefined;
  return defineCredential({
    method: () => (winner === undefined ? method : (principalOf(winner)?.method ?? method)),
    id: () => principalOf(winner)?.id,
    tenantId: () => principalOf(winner)?.tenantId,
    identity,
    requestTimeoutMs,
    request: (scope, options) => winner?.getToken(scope, options) ?? firstThatWorks(scope, options),
  });

  async function firstThatWorks(scope: string, options: GetTokenOptions): Promise<AccessToken> {
    const reasons: string[] = [];
    const causes: Error[] = [];
    for (const member of members) {
      try {
        const credential = made.get(member) ?? member.credential();
        made.set(member, credential);
        const answer = await credential.getToken(scope, options);
        if (answer === null) throw new CredentialUnavailableError('It gave no token.');
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
        hint: "Set up one of them, or name the one you want with 'method'.",
      },
    );
  }
}

/** A tool without anybody signed in is as good as none. */
function isNotHere(error: TokenPoolError): boolean {
  return error instanceof CredentialUnavailableError || error instanceof SignedOutError;
}

function principalOf(credential: TokenCredential | undefined): Credential['principal'] | undefined {
  return (credential as Credential | undefined)?.principal;
}

/** The caller's own credentials as members. @throws ConfigurationError where there is none */
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

import { randomUUID } from 'node:crypto';
import type { Credential, Secret } from '../credential.js';
import { LONGEST_TURN_WAIT_MS, turnsOf } from '../entra/application-turns.js';
import { readJwtClaims, userOfAssertion } from '../entra/jwt-claims.js';
import { fingerprint } from '../identity.js';
import { currentJwt, withoutTrailingNewline } from '../input/current-secret.js';
import { requireSecret } from '../input/require-option.js';
import { APPLICATION_OPTIONS, type ApplicationOptions, applicationCredential } from './application.js';
import { APPLICATION_PROOF_OPTIONS, type ApplicationProofOptions, proofOf } from './application-proof.js';
import { defineMethod } from './method.js';

/** The usual time limit of a request, ms, not including the wait for a turn. */
const REQUEST_TIMEOUT_MS = 10_000;

/** The application that exchanges its caller's token. It proves its identity with a secret, certificate or assertion. */
export type OnBehalfOfApplication = ApplicationOptions & ApplicationProofOptions;

/** An application that a person calls, and that calls SQL Server as that person. */
export type OnBehalfOfOptions = OnBehalfOfApplication & {
  method?: 'on-behalf-of' | undefined;
  /** The access token of the person's call, without `Bearer`. Its audience is this application. */
  userAssertion: Secret;
};

/**
 * The credential of one person. For many people, see {@link OnBehalfOfTokens}.
 *
 * @throws ConfigurationError naming the option
 */
export function onBehalfOf(options: OnBehalfOfOptions): Credential {
  const userAssertion = requireSecret(options.userAssertion, 'userAssertion');
  if (typeof userAssertion === 'string') userOfAssertion(withoutTrailingNewline(userAssertion));
  const user = claimedUser(userAssertion);
  return applicationCredential(options, proofOf(options, 'on-behalf-of flow'), {
    method: 'on-behalf-of',
    noun: 'on-behalf-of request',
    identity: [userAssertion],
    person: true,
    requestTimeoutMs: (proofMs = REQUEST_TIMEOUT_MS) => proofMs + LONGEST_TURN_WAIT_MS,
    inTurn: ({ tokenEndpoint, clientId }, request, signal) =>
      turnsOf(tokenEndpoint, clientId).run(user, request, signal),
    ask: async (app, request) => {
      const oboAssertion = await currentJwt(userAssertion, 'userAssertion');
      return app.acquireTokenOnBehalfOf({ ...request, oboAssertion });
    },
  });
}

/** The user whose turn is taken. An assertion that names no user, or that a function returns, stands for itself. */
function claimedUser(userAssertion: Secret): string {
  if (typeof userAssertion !== 'string') return randomUUID();
  return readJwtClaims(userAssertion)?.principal ?? fingerprint(userAssertion);
}

export const onBehalfOfMethod = defineMethod<OnBehalfOfOptions>({
  name: 'on-behalf-of',
  options: { ...APPLICATION_OPTIONS, ...APPLICATION_PROOF_OPTIONS, userAssertion: true },
  impliedBy: ['userAssertion'],
  create: onBehalfOf,
});

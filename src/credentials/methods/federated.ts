import { ConfigurationError } from '../../errors.js';
import type { Credential } from '../credential.js';
import { federationHint } from '../entra/federation-hint.js';
import { currentJwt } from '../input/current-secret.js';
import { didYouMean } from '../input/did-you-mean.js';
import { type Environment, readEnvironment } from '../input/environment.js';
import { optionalText, requireSelected, requireText } from '../input/require-option.js';
import { APPLICATION_OPTIONS, type ApplicationOptions, applicationCredential, type Prover } from './application.js';
import type { AssertionSource, FederatedSource } from './federated/assertion-source.js';
import { aws } from './federated/aws.js';
import { fromFile, fromManagedIdentity, fromVariable, githubActions, googleCloud } from './federated/issuers.js';
import { defineMethod } from './method.js';

/**
 * An app registration without a secret: Entra trusts the token of another issuer (workload identity federation). Add a
 * federated credential with that token's issuer, subject and audience to the app registration; the error of a mismatch
 * names all three.
 */
export interface FederatedOptions extends ApplicationOptions {
  method: 'federated';
  from: FederatedSource;
  /** Audience of the other issuer's token. Default `api://AzureADTokenExchange`, or that of the authority's cloud. */
  audience?: string | undefined;
}

/** https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity */
const PUBLIC_AUDIENCE = 'api://AzureADTokenExchange';
const AUDIENCES = new Map([
  ['https://login.microsoftonline.us', `${PUBLIC_AUDIENCE}USGov`],
  ['https://login.partner.microsoftonline.cn', `${PUBLIC_AUDIENCE}China`],
]);

/** @throws ConfigurationError naming the option */
export function federated(options: FederatedOptions): Credential {
  return applicationCredential(options, proveByFederation(options));
}

/** @throws ConfigurationError naming the option */
export function proveByFederation(options: Omit<FederatedOptions, 'method'>): Prover {
  const environment = readEnvironment();
  const audience = optionalText(options.audience, 'audience') ?? exchangeAudience(options);
  const source = sourceOf(options.from);
  return {
    method: 'federated',
    noun: `token of ${source.name}, for the federated credential`,
    identity: [audience, ...source.identity],
    environment: variablesOf(environment),
    // The issuer only proves the application: the subject may differ between machines, the application is the same.
    sameEverywhere: true,
    requestTimeoutMs: source.requestTimeoutMs,
    async prove(abortSignal) {
      const jwt = await source.getAssertion({ audience, environment, agent: options.agent, abortSignal });
      return { proof: { clientAssertion: jwt }, secrets: [jwt], explain: (aadsts) => federationHint(jwt, aadsts) };
    },
  };
}

/** The audience of tokens that are exchanged for others, in the authority's cloud. */
export function exchangeAudience({ authority }: Pick<FederatedOptions, 'authority'>): string {
  return AUDIENCES.get(originOf(authority ?? readEnvironment().AZURE_AUTHORITY_HOST ?? '')) ?? PUBLIC_AUDIENCE;
}

const NAMED: Readonly<Record<string, () => AssertionSource>> = {
  'managed-identity': () => fromManagedIdentity({}),
  'github-actions': () => githubActions,
  'google-cloud': () => googleCloud,
  aws: () => aws,
};

function sourceOf(from: FederatedSource): AssertionSource {
  if (typeof from === 'function') {
    return {
      name: "the function 'from'",
      identity: [from],
      getAssertion: () => currentJwt(from, 'from'),
    };
  }
  if (typeof from === 'string') {
    const named = Object.hasOwn(NAMED, from) ? NAMED[from] : undefined;
    if (named !== undefined) return named();
    throw new ConfigurationError(`Unknown source in 'from'.${didYouMean(from, Object.keys(NAMED))}`, { hint: SOURCES });
  }
  if (typeof from === 'object' && from !== null) {
    const [, another] = Object.keys(from);
    if (another !== undefined) {
      throw new ConfigurationError("'from' must have exactly one property.", { hint: SOURCES });
    }
    if ('file' in from) return fromFile(requireText(from.file, 'from.file'));
    if ('variable' in from) return fromVariable(requireText(from.variable, 'from.variable'));
    if ('managedIdentity' in from) return fromManagedIdentity(requireIdentityChoice(from.managedIdentity));
  }
  throw new ConfigurationError("'from' is missing or has an unknown form.", { hint: SOURCES });
}

const IDENTITY_IDS = ['clientId', 'objectId', 'resourceId'];

/** An invalid choice, or one without a value, would select another identity: the system-assigned one. */
function requireIdentityChoice<T>(choice: T): T {
  if (typeof choice !== 'object' || choice === null) {
    throw new ConfigurationError("'from.managedIdentity' must be an object such as { clientId }.");
  }
  const unknown = Object.keys(choice).find((name) => !IDENTITY_IDS.includes(name));
  if (unknown === undefined) {
    requireSelected(choice, IDENTITY_IDS, 'from.managedIdentity.');
    return choice;
  }
  throw new ConfigurationError(`Unknown option in 'from.managedIdentity'.${didYouMean(unknown, IDENTITY_IDS)}`, {
    hint: `Options: ${IDENTITY_IDS.join(', ')}.`,
  });
}

const SOURCES = `Sources: ${Object.keys(NAMED)
  .map((name) => `'${name}'`)
  .join(', ')}, { managedIdentity: { clientId } }, { variable: 'NAME' }, { file: '/path' }, or a function.`;

function originOf(authority: string): string {
  return URL.canParse(authority) ? new URL(authority).origin : `https://${authority.split('/')[0]}`;
}

/** All variables of issuers and managed identity: whichever is used, a change means another identity. */
function variablesOf(environment: Environment): object {
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) =>
      /^(ACTIONS_|GCE_|AWS_|IDENTITY_|IMDS_|MSI_|AZURE_POD_|DEFAULT_)/.test(name),
    ),
  );
}

export const federatedMethod = defineMethod<FederatedOptions>({
  name: 'federated',
  options: { ...APPLICATION_OPTIONS, from: true, audience: true },
  create: federated,
});

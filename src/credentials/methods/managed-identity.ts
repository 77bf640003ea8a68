import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  ConfigurationError,
  CredentialRejectedError,
  CredentialUnavailableError,
  type TokenPoolError,
  TokenTimeoutError,
  TokenUnavailableError,
} from '../../errors.js';
import { epochMs } from '../../time.js';
import type { AccessToken, Credential, GetTokenOptions } from '../credential.js';
import { defineCredential } from '../define-credential.js';
import { type HttpReply, httpExchange, jsonObject, retryAfterMs } from '../entra/http-request.js';
import { aadstsOf, providerError } from '../entra/provider-error.js';
import { type AnswerSource, answeredToken } from '../input/answered-token.js';
import { type Environment, MANAGED_IDENTITY_VARIABLES, readEnvironment, valuesOf } from '../input/environment.js';
import { optionalText } from '../input/require-option.js';
import {
  AZURE_ARC,
  appService,
  azureArc,
  cloudShell,
  type IdentityChoice,
  IMDS,
  imds,
  machineLearning,
  type Source,
  serviceFabric,
} from './managed-identity-sources.js';
import { defineMethod } from './method.js';
import { longestPatienceMs, whileNotReady } from './while-not-ready.js';

/**
 * The identity that Azure assigns to a machine or app: its own (system-assigned) one, or a user-assigned one, which is
 * selected by one of its three ids.
 */
export interface ManagedIdentityOptions {
  method: 'managed-identity';
  clientId?: string;
  objectId?: string;
  resourceId?: string;
  /** Where Azure Arc keeps its key files, if mounted elsewhere in a container. */
  arcKeyDirectory?: string | undefined;
  /**
   * How long the first token is retried while the platform answers that it is not ready (404, 410, 429, 5xx), ms.
   * Default 15,000, and 75,000 while the metadata service is being updated (410); 0 disables retries.
   */
  retryTimeoutMs?: number | undefined;
}

const LONGEST_RETRY_TIMEOUT_MS = 3_600_000;

/**
 * A managed identity, over plain HTTP rather than through MSAL. MSAL 7.2 keeps its source, its network module and its
 * tokens in process-wide statics where the first application wins, does not check Service Fabric's certificate, treats a
 * token that has only `expires_in` as expired, ignores `Retry-After`, and needs a connect timeout to find out that there
 * is no managed identity. The protocols are one GET each.
 *
 * @param inChain a machine without a managed identity is nothing unusual: IMDS must answer a probe within 1 s, and a 403
 *   that does not come from Entra (but from a proxy or a container host) means that there is none
 * @throws ConfigurationError naming the option
 */
export function managedIdentity(
  options: Partial<IdentityChoice> & Pick<ManagedIdentityOptions, 'arcKeyDirectory' | 'retryTimeoutMs'> = {},
  { inChain = false, environment = readEnvironment() }: { inChain?: boolean; environment?: Environment } = {},
): Credential {
  const choice = readChoice(options);
  const arcKeyDirectory = optionalText(options.arcKeyDirectory, 'arcKeyDirectory');
  const { retryTimeoutMs } = options;
  if (retryTimeoutMs !== undefined && !(retryTimeoutMs >= 0 && retryTimeoutMs <= LONGEST_RETRY_TIMEOUT_MS)) {
    throw new ConfigurationError("'retryTimeoutMs' must be a number of ms, from 0 to 3,600,000.");
  }
  const isChosen = Object.values(choice).some((value) => value !== undefined);
  let id = choice.clientId ?? choice.objectId ?? choice.resourceId ?? 'system-assigned';
  let probed = !inChain;
  let hadToken = false;
  return defineCredential({
    method: 'managed-identity',
    id: () => id,
    identity: [...Object.values(choice), arcKeyDirectory],
    environment: valuesOf(MANAGED_IDENTITY_VARIABLES, environment),
    sameEverywhere: isChosen,
    requestTimeoutMs: longestRequestMs(retryTimeoutMs),
    request(scope, requested) {
      const ask = () => askPlatform(scope, requested);
      // Once it has a token, the token cache retries by itself.
      if (hadToken) return ask();
      return whileNotReady(ask, { timeoutMs: retryTimeoutMs, abortSignal: requested.abortSignal });
    },
  });

  async function askPlatform(scope: string, requested: GetTokenOptions): Promise<AccessToken> {
    const source = detectSource(environment);
    if (source === imds && !probed) {
      await probeImds(requested, environment);
      probed = true;
    }
    const resource = scope.replace(/\/\.default$/, '');
    const reply = await source({ resource, choice, arcKeyDirectory, options: requested, environment }).catch(
      (error: unknown) => {
        throw unreachable(error);
      },
    );
    const body = jsonObject(reply.body);
    if (reply.status !== 200 || typeof body?.access_token !== 'string') throw refusal(reply, body, choice, inChain);
    if (typeof body.client_id === 'string') id = body.client_id;
    const token = readAnswer(body);
    hadToken = true;
    return token;
  }
}

/** Time limit of one request, ms; each of its attempts has its own timeout. */
export function longestRequestMs(retryTimeoutMs: number | undefined): number {
  return longestPatienceMs(retryTimeoutMs) + 5 * ATTEMPT_MS;
}

/** Azure Arc needs two exchanges for one token, each of 5 s at most. */
const ATTEMPT_MS = 10_000;

function readChoice(options: Partial<IdentityChoice>): IdentityChoice {
  const choice = {
    clientId: optionalText(options.clientId, 'clientId'),
    objectId: optionalText(options.objectId, 'objectId'),
    resourceId: optionalText(options.resourceId, 'resourceId'),
  };
  if (Object.values(choice).filter((value) => value !== undefined).length > 1) {
    throw new ConfigurationError("Set only one of 'clientId', 'objectId' and 'resourceId'.");
  }
  return choice;
}

/** Each platform is recognized by its own environment variables, Arc also by the presence of its agent. */
function detectSource(environment: Environment): Source {
  const { IDENTITY_ENDPOINT, IDENTITY_HEADER, IDENTITY_SERVER_THUMBPRINT, IMDS_ENDPOINT, MSI_ENDPOINT, MSI_SECRET } =
    environment;
  if (IDENTITY_ENDPOINT && IDENTITY_HEADER) return IDENTITY_SERVER_THUMBPRINT ? serviceFabric : appService;
  if (MSI_ENDPOINT) return MSI_SECRET ? machineLearning : cloudShell;
  if (IDENTITY_ENDPOINT && IMDS_ENDPOINT) return azureArc;
  return arcAgentIsInstalled(environment) ? azureArc : imds;
}

function arcAgentIsInstalled({ AZURE_POD_IDENTITY_AUTHORITY_HOST, ProgramFiles }: Environment): boolean {
  if (AZURE_POD_IDENTITY_AUTHORITY_HOST !== undefined) return false;
  return process.platform === 'win32'
    ? existsSync(join(ProgramFiles ?? 'C:\\Program Files', AZURE_ARC.windowsAgent))
    : existsSync(AZURE_ARC.linuxAgent);
}

/** A server that answers a request without the header `Metadata` counts as IMDS; outside Azure, there is none. */
async function probeImds(options: GetTokenOptions, environment: Environment): Promise<void> {
  try {
    await httpExchange({
      url: IMDS.url(environment),
      timeoutMs: IMDS.probeTimeoutMs,
      abortSignal: options.abortSignal,
    });
  } catch (error) {
    if (options.abortSignal?.aborted) throw error;
    throw new CredentialUnavailableError('There is no managed identity endpoint (IMDS) here.', {
      cause: error,
      hint: 'Managed identity works on Azure, and on servers with Azure Arc.',
    });
  }
}

/** The network path to the endpoint is local, without a proxy. */
function unreachable(error: unknown): unknown {
  const { message, cause } = error as Error;
  const hint =
    'Outside Azure, there is no managed identity. On Azure, assign one to this app or machine, and let this process reach the metadata endpoint directly.';
  const text = `The managed identity endpoint does not answer: ${message}`;
  if (error instanceof TokenTimeoutError) return new TokenTimeoutError(text, { cause, hint });
  // Anything else has an answer, or is about a file or a setting.
  if (error instanceof TokenUnavailableError && / cannot be reached /.test(message)) {
    return new TokenUnavailableError(text, { cause, hint });
  }
  return error;
}

function readAnswer(body: Record<string, unknown>): AccessToken {
  const now = Date.now();
  // The earlier of the two: `expires_on` is by the platform's clock, which may be slow; `expires_in` depends on no
  // clock.
  const expiresOn = Math.min(
    readTime(body.expires_on) ?? Number.POSITIVE_INFINITY,
    now + (readDuration(body.expires_in) ?? Number.POSITIVE_INFINITY),
  );
  const refreshIn = Number(body.refresh_in);
  const lifeMs = expiresOn - now;
  // The platform caches the token as well and renews it halfway through its life; waiting longer only risks an outage.
  const half = lifeMs > 2 * 3_600_000 ? now + lifeMs / 2 : undefined;
  return answeredToken(
    {
      token: body.access_token as string,
      expiresOn,
      refreshAfter: refreshIn > 0 ? now + refreshIn * 1000 : half,
      tokenType: typeof body.token_type === 'string' ? body.token_type : undefined,
    },
    ENDPOINT,
  );
}

const ENDPOINT: AnswerSource = {
  name: 'The managed identity endpoint',
  hint: "Its answer needs 'access_token', and 'expires_on' (epoch seconds) or 'expires_in'. If IDENTITY_ENDPOINT, MSI_ENDPOINT or AZURE_POD_IDENTITY_AUTHORITY_HOST names a proxy or a stand-in, that one is to be corrected.",
};

/** `expires_on`: epoch seconds as number or text, ISO 8601, or App Service's old `6/9/2026 8:31:53 AM +00:00`. */
function readTime(value: unknown): number | undefined {
  if (typeof value === 'number' || (typeof value === 'string' && /^\d+(\.\d+)?$/.test(value)))
    return epochMs(Number(value));
  const at = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? undefined : at;
}

/** A number of seconds, as number or text, in ms. */
function readDuration(value: unknown): number | undefined {
  const seconds = typeof value === 'number' || (typeof value === 'string' && value !== '') ? Number(value) : Number.NaN;
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

function refusal(
  reply: HttpReply,
  body: Record<string, unknown> | undefined,
  choice: IdentityChoice,
  inChain: boolean,
): TokenPoolError {
  const { error, description } = readRefusal(body);
  const who = choice.clientId ?? choice.objectId ?? choice.resourceId;
  const details = { status: reply.status };
  const ofEntra = aadstsOf(description) !== undefined;
  // Docker Desktop answers 403 "unreachable" for 169.254.169.254; proxies and container hosts answer with their own
  // page.
  const blocked = reply.status === 403 && !ofEntra && (inChain || /unreachable/i.test(reply.body));
  if (blocked) {
    return new CredentialUnavailableError('The managed identity endpoint refuses access (HTTP 403).', {
      ...details,
      hint: 'Outside Azure, there is no managed identity. On Azure, let this process reach the metadata endpoint directly.',
    });
  }
  // This refusal does not come from Entra: the machine or app has no such identity.
  if (isNoSuchIdentity(reply.status, description) && !ofEntra) {
    return who === undefined
      ? new CredentialUnavailableError('This machine or app has no managed identity of its own.', {
          ...details,
          hint: "Enable the system-assigned identity, or select a user-assigned one with 'clientId'.",
        })
      : new CredentialRejectedError(`This machine or app does not have the managed identity '${who}'.`, {
          ...details,
          hint: 'Assign it to the machine or app, and check its id.',
        });
  }
  return providerError(
    {
      status: reply.status,
      foreign: reply.status < 400,
      error,
      description: description ?? (body === undefined ? 'the answer is not JSON' : undefined),
      aadsts: aadstsOf(description),
      retryAfterMs: retryAfterMs(reply.headers['retry-after']),
    },
    'managed identity',
    { secrets: reply.secrets() },
  );
}

function isNoSuchIdentity(status: number, description: string | undefined): boolean {
  return (
    (status === 400 || status === 404) &&
    /identity (?:is )?not (?:been )?found|no .{0,100}managed identity found/i.test((description ?? '').slice(0, 2_000))
  );
}

/** The six platforms have four formats for errors. */
function readRefusal(body: Record<string, unknown> | undefined): { error?: string; description?: string } {
  const nested = (typeof body?.error === 'object' && body.error !== null ? body.error : {}) as Record<string, unknown>;
  const error = [body?.error, nested.code].find((value) => typeof value === 'string') as string | undefined;
  const description = [body?.error_description, nested.message, body?.message].find(
    (value) => typeof value === 'string',
  );
  return {
    ...(error === undefined ? {} : { error }),
    ...(description === undefined ? {} : { description: description as string }),
  };
}

export const managedIdentityMethod = defineMethod<ManagedIdentityOptions>({
  name: 'managed-identity',
  options: { clientId: true, objectId: true, resourceId: true, arcKeyDirectory: true, retryTimeoutMs: true },
  selectedBy: ['clientId', 'objectId', 'resourceId'],
  create: (options) => managedIdentity(options),
});

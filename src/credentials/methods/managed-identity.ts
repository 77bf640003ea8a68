import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  ConfigurationError,
  CredentialRejectedError,
  CredentialUnavailableError,
  type TokenPoolError,
} from '../../errors.js';
import type { AccessToken, Credential, GetTokenOptions } from '../credential.js';
import { defineCredential } from '../define-credential.js';
import { type HttpReply, httpExchange, jsonObject } from '../entra/http-request.js';
import { aadstsOf, providerError } from '../entra/provider-error.js';
import { retryAfterMs } from '../entra/retry-after.js';
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
import { longestPatienceMs, whileNotReady } from './while-not-ready.js';

/**
 * The identity that Azure gives a machine or app. Nothing to choose means its own (system-assigned) one; a user-assigned
 * one is chosen by one of its three ids.
 */
export interface ManagedIdentityOptions {
  method: 'managed-identity';
  clientId?: string | undefined;
  objectId?: string | undefined;
  resourceId?: string | undefined;
  /** Where Azure Arc keeps its key files, if mounted elsewhere in a container. */
  arcKeyDirectory?: string | undefined;
  /**
   * How long the first token is asked for again while the platform answers that it is not ready (404, 410, 429, 5xx), ms.
   * Default 15,000, and 75,000 while the metadata service is being updated (410); 0 is never.
   */
  retryTimeoutMs?: number | undefined;
}

const LONGEST_RETRY_TIMEOUT_MS = 3_600_000;

/**
 * A managed identity, over plain HTTP rather than through MSAL. MSAL 7.2 keeps its source, its network module and its
 * tokens in process-wide statics where the first application wins, does not check Service Fabric's certificate, takes a
 * token that comes with `expires_in` only for expired, ignores `Retry-After`, and does not notice that there is no managed
 * identity here before a connect timeout. The protocols are one GET each.
 *
 * @param probe ask first whether IMDS is there, within 1 s: for a chain, where "not here" is nothing special
 * @throws ConfigurationError naming the key
 */
export function managedIdentity(
  options: Omit<ManagedIdentityOptions, 'method'> = {},
  { probe = false } = {},
): Credential {
  const choice = readChoice(options);
  const arcKeyDirectory = optionalText(options.arcKeyDirectory, 'arcKeyDirectory');
  const { retryTimeoutMs } = options;
  if (retryTimeoutMs !== undefined && !(retryTimeoutMs >= 0 && retryTimeoutMs <= LONGEST_RETRY_TIMEOUT_MS)) {
    throw new ConfigurationError("'retryTimeoutMs' must be a number of ms, from 0 to 3,600,000.");
  }
  const isChosen = Object.values(choice).some((value) => value !== undefined);
  let id = choice.clientId ?? choice.objectId ?? choice.resourceId ?? 'system-assigned';
  let probed = !probe;
  let hadToken = false;
  return defineCredential({
    method: 'managed-identity',
    id: () => id,
    identity: [...Object.values(choice), arcKeyDirectory, ...(isChosen ? [] : platformInUse())],
    sameEverywhere: isChosen,
    requestTimeoutMs: longestRequestMs(retryTimeoutMs),
    request(scope, requested) {
      const ask = () => askPlatform(scope, requested);
      // From the first token on there is one to live on meanwhile, and the token cache asks again.
      if (hadToken) return ask();
      return whileNotReady(ask, { timeoutMs: retryTimeoutMs, abortSignal: requested.abortSignal });
    },
  });

  async function askPlatform(scope: string, requested: GetTokenOptions): Promise<AccessToken> {
    const source = detectSource();
    if (source === imds && !probed) {
      await probeImds(requested);
      probed = true;
    }
    const resource = scope.replace(/\/\.default$/, '');
    const reply = await source({ resource, choice, arcKeyDirectory, options: requested });
    const body = jsonObject(reply.body);
    if (reply.status !== 200 || typeof body?.access_token !== 'string') throw refusal(reply, body, choice);
    if (typeof body.client_id === 'string') id = body.client_id;
    hadToken = true;
    return readAnswer(body);
  }
}

/** Longest that one request takes, ms: each of its attempts has a timeout of its own. */
export function longestRequestMs(retryTimeoutMs: number | undefined): number {
  return longestPatienceMs(retryTimeoutMs) + 5 * ATTEMPT_MS;
}

/** Azure Arc needs two exchanges of 5 s at most for one. */
const ATTEMPT_MS = 10_000;

function readChoice(options: Omit<ManagedIdentityOptions, 'method'>): IdentityChoice {
  const choice = {
    clientId: optionalText(options.clientId, 'clientId'),
    objectId: optionalText(options.objectId, 'objectId'),
    resourceId: optionalText(options.resourceId, 'resourceId'),
  };
  if (Object.values(choice).filter((value) => value !== undefined).length > 1) {
    throw new ConfigurationError("Give only one of 'clientId', 'objectId' and 'resourceId'.");
  }
  return choice;
}

/** Each platform announces itself by its own environment variables, Arc also by the presence of its agent. */
function detectSource(): Source {
  const { IDENTITY_ENDPOINT, IDENTITY_HEADER, IDENTITY_SERVER_THUMBPRINT, IMDS_ENDPOINT, MSI_ENDPOINT, MSI_SECRET } =
    process.env;
  if (IDENTITY_ENDPOINT && IDENTITY_HEADER) return IDENTITY_SERVER_THUMBPRINT ? serviceFabric : appService;
  if (MSI_ENDPOINT) return MSI_SECRET ? machineLearning : cloudShell;
  if (IDENTITY_ENDPOINT && IMDS_ENDPOINT) return azureArc;
  return arcAgentIsInstalled() ? azureArc : imds;
}

/** What leads to the endpoint: the system-assigned identity is another principal on each platform, and machine. */
function platformInUse(): (string | undefined)[] {
  const { IDENTITY_ENDPOINT, MSI_ENDPOINT, AZURE_POD_IDENTITY_AUTHORITY_HOST } = process.env;
  return [IDENTITY_ENDPOINT, MSI_ENDPOINT, AZURE_POD_IDENTITY_AUTHORITY_HOST];
}

function arcAgentIsInstalled(): boolean {
  if (process.env.AZURE_POD_IDENTITY_AUTHORITY_HOST) return false;
  return process.platform === 'win32'
    ? existsSync(join(process.env.ProgramFiles ?? 'C:\\Program Files', AZURE_ARC.windowsAgent))
    : existsSync(AZURE_ARC.linuxAgent);
}

/** Anything that answers a request without the header `Metadata` is taken for IMDS; off Azure nothing does. */
async function probeImds(options: GetTokenOptions): Promise<void> {
  try {
    await httpExchange({ url: IMDS.url(), timeoutMs: IMDS.probeTimeoutMs, abortSignal: options.abortSignal });
  } catch (error) {
    if (options.abortSignal?.aborted) throw error;
    throw new CredentialUnavailableError('There is no managed identity endpoint (IMDS) here.', {
      cause: error,
      hint: 'Managed identity works on Azure, and on servers with Azure Arc.',
    });
  }
}

function readAnswer(body: Record<string, unknown>): AccessToken {
  const now = Date.now();
  const expiresOn = readTime(body.expires_on) ?? now + Number(body.expires_in) * 1000;
  const refreshIn = Number(body.refresh_in);
  const lifeMs = expiresOn - now;
  // The platform keeps the token for itself too and renews it half-way; asking later only risks its bad moments.
  const half = lifeMs > 2 * 3_600_000 ? now + lifeMs / 2 : undefined;
  return {
    token: body.access_token as string,
    expiresOnTimestamp: expiresOn,
    refreshAfterTimestamp: refreshIn > 0 ? now + refreshIn * 1000 : half,
    tokenType: typeof body.token_type === 'string' ? body.token_type : undefined,
  };
}

/** `expires_on`: epoch seconds as number or text, ISO 8601, or App Service's old `6/9/2026 8:31:53 AM +00:00`. */
function readTime(value: unknown): number | undefined {
  if (typeof value === 'number' || (typeof value === 'string' && /^\d+(\.\d+)?$/.test(value)))
    return Number(value) * 1000;
  const at = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? undefined : at;
}

function refusal(reply: HttpReply, body: Record<string, unknown> | undefined, choice: IdentityChoice): TokenPoolError {
  const { error, description } = readRefusal(body);
  const who = choice.clientId ?? choice.objectId ?? choice.resourceId;
  const details = { status: reply.status };
  const unreachable = reply.status === 403 && /unreachable/i.test(reply.body);
  // A refusal that has nothing to do with Entra: this machine or app has no such identity.
  if (unreachable || (isNoSuchIdentity(reply.status, description) && aadstsOf(description) === undefined)) {
    return who === undefined
      ? new CredentialUnavailableError('This machine or app has no managed identity of its own.', {
          ...details,
          hint: "Switch the system-assigned identity on, or name a user-assigned one by 'clientId'.",
        })
      : new CredentialRejectedError(`This machine or app does not have the managed identity '${who}'.`, {
          ...details,
          hint: 'Assign it to the machine or app, and check its id.',
        });
  }
  return providerError(
    {
      status: reply.status === 200 ? 502 : reply.status,
      error,
      description: description ?? (body === undefined ? 'the answer is not JSON' : undefined),
      aadsts: aadstsOf(description),
      retryAfterMs: retryAfterMs(reply.headers['retry-after']),
    },
    'managed identity',
  );
}

function isNoSuchIdentity(status: number, description: string | undefined): boolean {
  return (
    (status === 400 || status === 404) &&
    /identity (is )?not (been )?found|no .*managed identity found/i.test(description ?? '')
  );
}

/** The six platforms word their errors in four ways. */
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

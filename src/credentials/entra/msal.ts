import type * as Msal from '@azure/msal-node';
import { ConfigurationError, TokenPoolError, TokenUnavailableError } from '../../errors.js';
import type { AccessToken, GetTokenOptions, Secret } from '../credential.js';
import type { Authority } from './authority.js';
import { type HttpAgent, httpExchange, jsonObject } from './http-request.js';
import { oauthRefusal } from './oauth-refusal.js';
import { redact, redactedCause } from './redact.js';

/** What every request through MSAL needs. */
export interface MsalRequest {
  authority: Authority;
  clientId: string;
  /** What asks, for error messages: `client secret of application ...`. */
  who: string;
  /** Whether a person can mend an `invalid_grant` by signing in again. */
  person?: boolean | undefined;
  /** What must not turn up in an error. */
  secrets?: readonly (string | undefined)[] | undefined;
  options: GetTokenOptions;
  agent?: HttpAgent | undefined;
  /** Where a person's session is kept between requests. */
  cachePlugin?: Msal.ICachePlugin | undefined;
}

/** How a confidential application proves who it is. */
export type ClientProof = Pick<Msal.NodeAuthOptions, 'clientSecret' | 'clientCertificate' | 'clientAssertion'>;

/**
 * One request through a new MSAL application that is thrown away after it. MSAL's cache, its 60 s throttle and its stale
 * secrets go with it: keeping tokens, pausing and asking again are the token cache's business, which does them for every
 * kind of credential alike. An application costs well under a millisecond and no network.
 */
export async function throughConfidentialApp(
  request: MsalRequest,
  proof: ClientProof,
  ask: (app: Msal.ConfidentialClientApplication) => Promise<Msal.AuthenticationResult | null>,
): Promise<AccessToken> {
  const { ConfidentialClientApplication } = await import('@azure/msal-node');
  return through(request, (config) =>
    ask(new ConfidentialClientApplication({ ...config, auth: { ...config.auth, ...proof } })),
  );
}

/** As above for an application without a secret of its own, where a person signs in. */
export async function throughPublicApp(
  request: MsalRequest,
  ask: (app: Msal.PublicClientApplication) => Promise<Msal.AuthenticationResult | null>,
): Promise<AccessToken> {
  const { PublicClientApplication } = await import('@azure/msal-node');
  return through(request, (config) => ask(new PublicClientApplication(config)));
}

async function through(
  request: MsalRequest,
  ask: (config: Msal.Configuration) => Promise<Msal.AuthenticationResult | null>,
): Promise<AccessToken> {
  const { authority, clientId, options, cachePlugin } = request;
  const network = recordingNetwork(request);
  const config: Msal.Configuration = {
    auth: { clientId, ...authority.msal, ...(options.enableCae ? { clientCapabilities: ['cp1'] } : {}) },
    system: { networkClient: network.module },
    ...(cachePlugin === undefined ? {} : { cache: { cachePlugin } }),
  };
  try {
    return accessTokenOf(await ask(config), request.who);
  } catch (thrown) {
    if (thrown instanceof TokenPoolError) throw thrown;
    throw network.failure ?? ownFailure(thrown, request);
  }
}

/**
 * The network under MSAL. What went wrong is recorded here, because MSAL passes on neither the status nor `Retry-After`
 * nor the network's own error.
 */
function recordingNetwork(request: MsalRequest): { module: Msal.INetworkModule; failure: Error | undefined } {
  const record: { module: Msal.INetworkModule; failure: Error | undefined } = {
    failure: undefined,
    module: {
      sendGetRequestAsync: (url, options) => send('GET', url, options),
      sendPostRequestAsync: (url, options) => send('POST', url, options),
    },
  };
  return record;

  async function send<T>(
    method: 'GET' | 'POST',
    url: string,
    options?: Msal.NetworkRequestOptions,
  ): Promise<Msal.NetworkResponse<T>> {
    record.failure = undefined;
    try {
      const reply = await httpExchange({
        url: new URL(url),
        method,
        headers: options?.headers,
        body: options?.body,
        abortSignal: request.options.abortSignal,
        agent: request.agent,
      });
      const body = jsonObject(reply.body);
      if (body === undefined || reply.status >= 400 || 'error' in body) {
        record.failure = oauthRefusal(reply, body, request);
      }
      // MSAL's throttle would answer by itself for a minute to come; it must not see what engages it.
      if (body === undefined || reply.status === 429 || reply.status >= 500) throw record.failure;
      const { 'retry-after': _, ...headers } = reply.headers;
      return { status: reply.status, headers: headers as Record<string, string>, body: body as T };
    } catch (error) {
      record.failure = error as Error;
      throw error;
    }
  }
}

/** MSAL found something wrong before it asked, a malformed key for example. */
function ownFailure(thrown: unknown, request: MsalRequest): Error {
  const { errorCode, message } = thrown as { errorCode?: string; message?: string };
  return new ConfigurationError(
    `The ${request.who} cannot be used: ${redact(message || errorCode || 'unknown reason', request.secrets)}`,
    { cause: redactedCause(thrown, request.secrets) },
  );
}

function accessTokenOf(result: Msal.AuthenticationResult | null, who: string): AccessToken {
  if (result === null || result.expiresOn === null) {
    throw new TokenUnavailableError(`The identity provider gave no token for the ${who}.`);
  }
  return {
    token: result.accessToken,
    expiresOnTimestamp: result.expiresOn.getTime(),
    refreshAfterTimestamp: result.refreshOn?.getTime(),
    tokenType: result.tokenType,
  };
}

/** The secret to use now. Functions are asked each time. */
export async function currentSecret(secret: Secret, key: string): Promise<string> {
  if (typeof secret === 'string') return secret;
  let value: unknown;
  try {
    value = await secret();
  } catch (thrown) {
    throw new TokenUnavailableError(
      `The function given as '${key}' failed: ${redact(String((thrown as Error)?.message))}`,
      {
        cause: redactedCause(thrown),
      },
    );
  }
  if (typeof value === 'string' && value !== '') return value;
  throw new ConfigurationError(`The function given as '${key}' must return a string that is not empty.`);
}

import type * as Msal from '@azure/msal-node';
import { ConfigurationError, TokenPoolError, TokenUnavailableError } from '../../errors.js';
import type { AccessToken, GetTokenOptions } from '../credential.js';
import { answeredToken } from '../input/answered-token.js';
import type { Authority } from './authority.js';
import type { ClientProof } from './client-proof.js';
import { type HttpAgent, httpExchange, jsonObject } from './http-request.js';
import { oauthRefusal } from './oauth-refusal.js';
import { redact, redactedCause, textOf, textProperty } from './redact.js';

/** Settings of every request through MSAL. */
export interface MsalRequest {
  authority: Authority;
  clientId: string;
  /** What makes the request, for error messages: `client secret of application ...`. */
  who: string;
  /** Whether `invalid_grant` ends when a person signs in again. */
  person?: boolean | undefined;
  /** Secrets that must not appear in an error, besides those in the request. */
  secrets?: readonly (string | undefined)[] | undefined;
  /** A more specific hint than that of the AADSTS number. */
  explain?: ((aadsts: number | undefined) => string | undefined) | undefined;
  options: GetTokenOptions;
  agent?: HttpAgent | undefined;
  /** Where a person's session is kept between requests. */
  cachePlugin?: Msal.ICachePlugin | undefined;
}

/**
 * One request through a new MSAL application, which is discarded afterwards together with MSAL's cache, its 60 s
 * throttle and its stale secrets: the token cache stores tokens, backs off and retries in the same way for every
 * credential. Creating an application takes well under a millisecond and no network.
 */
export async function requestAsConfidentialApp(
  request: MsalRequest,
  proof: ClientProof,
  ask: (app: Msal.ConfidentialClientApplication) => Promise<Msal.AuthenticationResult | null>,
): Promise<AccessToken> {
  const { ConfidentialClientApplication } = await import('@azure/msal-node');
  return requestToken(request, (config) =>
    ask(new ConfidentialClientApplication({ ...config, auth: { ...config.auth, ...proof } })),
  );
}

/** The same for an application without a secret, where a person signs in. */
export async function requestAsPublicApp(
  request: MsalRequest,
  ask: (app: Msal.PublicClientApplication) => Promise<Msal.AuthenticationResult | null>,
): Promise<AccessToken> {
  const { PublicClientApplication } = await import('@azure/msal-node');
  return requestToken(request, (config) => ask(new PublicClientApplication(config)));
}

async function requestToken(
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
    return accessTokenOf(await ask(config), request.who, network.hasExpiry);
  } catch (thrown) {
    if (thrown instanceof TokenPoolError) throw thrown;
    throw network.failure ?? msalFailure(thrown, [...(request.secrets ?? []), ...network.secrets], request.who);
  }
}

interface RecordingNetwork {
  module: Msal.INetworkModule;
  failure: Error | undefined;
  /** Whether the last token came with an `expires_in` that is a number. */
  hasExpiry: boolean;
  /** Every secret that MSAL sent: its cached refresh tokens and signed assertions are only visible here. */
  secrets: string[];
}

/**
 * The network under MSAL. Failures are recorded here, because MSAL hides the status, `Retry-After` and the network's
 * own error.
 */
function recordingNetwork(request: MsalRequest): RecordingNetwork {
  const record: RecordingNetwork = {
    failure: undefined,
    hasExpiry: true,
    secrets: [],
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
      record.secrets.push(...reply.secrets());
      const body = jsonObject(reply.body);
      if (body === undefined || reply.status < 200 || reply.status >= 400 || 'error' in body) {
        record.failure = oauthRefusal(reply, body, request);
      }
      if (body !== undefined && 'access_token' in body) record.hasExpiry = isSeconds(body.expires_in);
      // MSAL's throttle would reject further requests for a minute, so the answers that trigger it are hidden from it.
      if (body === undefined || reply.status < 200 || reply.status === 429 || reply.status >= 500) throw record.failure;
      const { 'retry-after': _, ...headers } = reply.headers;
      return { status: reply.status, headers: headers as Record<string, string>, body: body as T };
    } catch (error) {
      record.failure = error as Error;
      throw error;
    }
  }
}

function isSeconds(value: unknown): boolean {
  return typeof value === 'number' || (typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value));
}

/** MSAL found the fault before it sent anything: a malformed key, for example. */
function msalFailure(thrown: unknown, secrets: readonly (string | undefined)[], who: string): Error {
  const reason = textOf(thrown) || textProperty(thrown, 'errorCode') || 'unknown reason';
  return new ConfigurationError(`The ${who} cannot be used: ${redact(reason, secrets).slice(0, 400)}`, {
    cause: redactedCause(thrown, secrets),
  });
}

function accessTokenOf(result: Msal.AuthenticationResult | null, who: string, hasExpiry: boolean): AccessToken {
  if (result === null || result.expiresOn === null) {
    throw new TokenUnavailableError(`The identity provider returned no token for the ${who}.`);
  }
  const { accessToken: token, expiresOn, refreshOn, tokenType } = result;
  return answeredToken(
    // `expires_in` is recommended only (RFC 6749 section 5.1); MSAL counts its absence as 0.
    { token, expiresOn: hasExpiry ? expiresOn.getTime() : undefined, refreshAfter: refreshOn?.getTime(), tokenType },
    { name: 'The identity provider', requested: who, hint: PROVIDER_HINT },
  );
}

const PROVIDER_HINT =
  "Check 'authority': a proxy or a stand-in for Microsoft Entra ID must answer with a bearer token and its 'expires_in'.";

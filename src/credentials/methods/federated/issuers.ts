import { ConfigurationError, CredentialUnavailableError } from '../../../errors.js';
import { type HttpReply, type HttpRequest, httpExchange, jsonObject, retryAfterMs } from '../../entra/http-request.js';
import { providerError } from '../../entra/provider-error.js';
import { looksLikeJwt } from '../../input/current-secret.js';
import { readVariable } from '../../input/environment.js';
import { managedIdentity } from '../managed-identity.js';
import type { AssertionSource } from './assertion-source.js';
import { readTokenFile } from './token-file.js';

/** A local metadata service that takes longer than this will not answer. */
const METADATA_TIMEOUT_MS = 5_000;

const OF_THE_JOB = "Add 'permissions: id-token: write' to the job. Jobs of pull requests from forks get no token.";

/**
 * GitHub Actions. The runner sets both variables in jobs with `permissions: id-token: write`.
 * https://docs.github.com/actions/reference/security/oidc
 */
export const githubActions: AssertionSource = {
  name: 'GitHub Actions',
  identity: ['github-actions'],
  async getAssertion({ audience, environment, agent, abortSignal }) {
    const { ACTIONS_ID_TOKEN_REQUEST_URL: text, ACTIONS_ID_TOKEN_REQUEST_TOKEN: token } = environment;
    if (text === undefined || token === undefined) {
      throw new CredentialUnavailableError('This job has no id token of GitHub Actions.', {
        hint: OF_THE_JOB,
      });
    }
    const url = secureUrl(text, 'ACTIONS_ID_TOKEN_REQUEST_URL');
    url.searchParams.set('audience', audience);
    const reply = await httpExchange({ url, headers: { authorization: `Bearer ${token}` }, agent, abortSignal });
    return tokenIn(reply, jsonObject(reply.body)?.value, { issuer: 'GitHub Actions', hint: OF_THE_JOB });
  },
};

/** Google Cloud's metadata server. https://cloud.google.com/compute/docs/instances/verifying-instance-identity */
export const googleCloud: AssertionSource = {
  name: 'Google Cloud',
  identity: ['google-cloud'],
  async getAssertion({ audience, environment, abortSignal }) {
    const host = environment.GCE_METADATA_HOST ?? 'metadata.google.internal';
    const text = `http://${host}/computeMetadata/v1/instance/service-accounts/default/identity`;
    if (!/^[\w.:[\]-]{1,253}$/.test(host) || !URL.canParse(text)) {
      throw new ConfigurationError("The environment variable 'GCE_METADATA_HOST' must be a host name or an address.");
    }
    const url = new URL(text);
    url.searchParams.set('audience', audience);
    url.searchParams.set('format', 'full');
    const request: HttpRequest = {
      url,
      headers: { 'metadata-flavor': 'Google' },
      timeoutMs: METADATA_TIMEOUT_MS,
      abortSignal,
    };
    const reply = await httpExchange(request);
    const hint =
      'Attach a service account to the VM or service. On GKE, bind one with Workload Identity Federation for GKE.';
    if (reply.status === 404) {
      throw new CredentialUnavailableError('This machine or service of Google Cloud has no service account.', {
        status: reply.status,
        hint,
      });
    }
    return tokenIn(reply, reply.body.trim(), { issuer: 'The metadata server of Google Cloud', hint });
  },
};

/** A managed identity's token for the exchange: the app registration trusts the identity, in its own tenant or another. */
export function fromManagedIdentity(choice: {
  clientId?: string | undefined;
  objectId?: string | undefined;
  resourceId?: string | undefined;
}): AssertionSource {
  const identity = managedIdentity(choice);
  return {
    name: 'the managed identity',
    identity: ['managed-identity', choice.clientId, choice.objectId, choice.resourceId],
    requestTimeoutMs: (identity.requestTimeoutMs ?? 0) + 10_000,
    async getAssertion({ audience, abortSignal }) {
      const answer = await identity.getToken(`${audience}/.default`, { abortSignal });
      return answer?.token ?? '';
    },
  };
}

/** A token that a CI system puts into a variable. The name is an option; the value is read for each request. */
export function fromVariable(name: string): AssertionSource {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name)) {
    throw new ConfigurationError("'from.variable' must be the name of an environment variable.");
  }
  return {
    name: 'the environment variable',
    identity: ['variable', name, readVariable(name)],
    async getAssertion() {
      const token = readVariable(name)?.trim();
      if (token === undefined) {
        throw new CredentialUnavailableError(`The environment variable '${name}' is not set.`, {
          hint: 'GitLab: add it under id_tokens of the job. Terraform Cloud: set TFC_WORKLOAD_IDENTITY_AUDIENCE.',
        });
      }
      if (looksLikeJwt(token)) return token;
      throw new ConfigurationError(`The environment variable '${name}' holds no token (JWT).`, {
        hint: 'It must hold the JWT alone, without "Bearer" or quotation marks.',
      });
    },
  };
}

/** A token in a file that another process keeps fresh: Kubernetes, SPIFFE, EKS. */
export function fromFile(path: string): AssertionSource {
  return {
    name: 'the token file',
    identity: ['file', path],
    getAssertion: () => readTokenFile(path, 'from.file'),
  };
}

/** @throws ConfigurationError unless the URL protects what is sent to it */
export function secureUrl(text: string, variable: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const here = url?.protocol === 'http:' && /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  if (url !== undefined && (url.protocol === 'https:' || here)) return url;
  throw new ConfigurationError(`The environment variable '${variable}' must be an https URL.`);
}

/**
 * The token of an issuer's answer.
 *
 * @param about `hint`: what to do about a refusal (HTTP 4xx)
 * @throws a typed error that never quotes the answer verbatim
 */
export function tokenIn(reply: HttpReply, token: unknown, about: { issuer: string; hint?: string }): string {
  const { status, headers } = reply;
  if (status === 200 && typeof token === 'string' && looksLikeJwt(token)) return token;
  const { error, error_description: description, message } = jsonObject(reply.body) ?? {};
  const [reason] = [description, message, error].filter((text) => typeof text === 'string');
  const refused = status >= 400 && status < 500;
  throw providerError(
    {
      status,
      // A captive portal or a proxy answers with its own page.
      foreign: status < 400,
      description: status < 400 ? 'the answer has no token' : reason,
      retryAfterMs: retryAfterMs(headers['retry-after']),
    },
    'issue a token',
    { answeredBy: about.issuer, secrets: reply.secrets(), explain: () => (refused ? about.hint : undefined) },
  );
}

import { createHash, createHmac } from 'node:crypto';
import { ConfigurationError, CredentialRejectedError, CredentialUnavailableError } from '../../../errors.js';
import { type HttpReply, httpExchange, jsonObject } from '../../entra/http-request.js';
import { redact } from '../../entra/redact.js';
import type { Environment } from '../../input/environment.js';
import { readStart } from '../../input/read-file.js';
import type { AssertionRequest, AssertionSource } from './assertion-source.js';
import { secureUrl, tokenIn } from './issuers.js';

/** Seconds; the assertion is exchanged at once. */
const TOKEN_LIFETIME = '300';
const METADATA_TIMEOUT_MS = 5_000;
const LARGEST_TOKEN_FILE = 64 * 1024;

interface AwsKeys {
  id: string;
  secret: string;
  sessionToken: string | undefined;
}

/**
 * AWS: STS issues a JWT for the role of this process. The account needs outbound identity federation enabled, the role
 * the permission `sts:GetWebIdentityToken`. https://docs.aws.amazon.com/STS/latest/APIReference/API_GetWebIdentityToken.html
 */
export const aws: AssertionSource = {
  name: 'AWS STS',
  identity: ['aws'],
  requestTimeoutMs: 25_000,
  async getAssertion(request) {
    const { audience, environment, agent, abortSignal } = request;
    const region = environment.AWS_REGION ?? environment.AWS_DEFAULT_REGION;
    if (region === undefined || !/^[a-z0-9-]{1,40}$/.test(region)) {
      throw new ConfigurationError("The environment variable 'AWS_REGION' must name the region.", {
        hint: 'The global endpoint of STS does not issue web identity tokens.',
      });
    }
    const keys = await keysOf(request);
    const url = secureUrl(
      environment.AWS_ENDPOINT_URL_STS ?? `https://sts.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`,
      'AWS_ENDPOINT_URL_STS',
    );
    const body = new URLSearchParams({
      Action: 'GetWebIdentityToken',
      Version: '2011-06-15',
      'Audience.member.1': audience,
      DurationSeconds: TOKEN_LIFETIME,
      SigningAlgorithm: 'RS256',
    }).toString();
    const headers = signedHeaders({ url, body, region, keys, at: new Date() });
    const reply = await httpExchange({ url, method: 'POST', headers, body, agent, abortSignal });
    if (reply.status === 400 || reply.status === 403) throw refusedBy(reply);
    return tokenIn(reply, between(reply.body, '<WebIdentityToken>', '</WebIdentityToken>'), 'AWS STS');
  },
};

function refusedBy(reply: HttpReply): CredentialRejectedError {
  const code = between(reply.body, '<Code>', '</Code>') ?? '';
  const reason = /^\w{1,80}$/.test(code) ? code : redact(code, reply.secrets()).slice(0, 80);
  return new CredentialRejectedError(`AWS STS rejected the request for a token (HTTP ${reply.status}, ${reason}).`, {
    status: reply.status,
    hint: 'Enable outbound identity federation for the account, and allow sts:GetWebIdentityToken for the role.',
  });
}

/** The keys of the role: from the variables, or from the endpoint that ECS, EKS Pod Identity and Lambda provide. */
async function keysOf({ environment, abortSignal }: AssertionRequest): Promise<AwsKeys> {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: sessionToken } = environment;
  if (id !== undefined && secret !== undefined) return { id, secret, sessionToken };
  const url = containerEndpoint(environment);
  if (url === undefined) {
    throw new CredentialUnavailableError(
      'No AWS credentials: neither AWS_ACCESS_KEY_ID nor a container endpoint is set.',
      {
        hint: "On EC2, or with a profile, pass a function as 'from' that calls GetWebIdentityToken with the AWS SDK.",
      },
    );
  }
  const authorization = await containerAuthorization(environment);
  const reply = await httpExchange({
    url,
    headers: authorization === undefined ? {} : { authorization },
    timeoutMs: METADATA_TIMEOUT_MS,
    abortSignal,
  });
  const { AccessKeyId, SecretAccessKey, Token } = jsonObject(reply.body) ?? {};
  if (reply.status !== 200 || typeof AccessKeyId !== 'string' || typeof SecretAccessKey !== 'string') {
    throw new CredentialUnavailableError(
      `The container endpoint of AWS returned no credentials (HTTP ${reply.status}).`,
    );
  }
  return { id: AccessKeyId, secret: SecretAccessKey, sessionToken: typeof Token === 'string' ? Token : undefined };
}

/** Plain http only to this machine, or to the link-local addresses of ECS and EKS. */
function containerEndpoint(environment: Environment): URL | undefined {
  const { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: relative, AWS_CONTAINER_CREDENTIALS_FULL_URI: full } = environment;
  if (relative !== undefined) return new URL(`http://169.254.170.2/${relative.replace(/^\/{1,8}/, '')}`);
  if (full === undefined) return undefined;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  const linkLocal =
    url?.protocol === 'http:' && ['169.254.170.2', '169.254.170.23', '[fd00:ec2::23]'].includes(url.hostname);
  return linkLocal ? url : secureUrl(full, 'AWS_CONTAINER_CREDENTIALS_FULL_URI');
}

async function containerAuthorization(environment: Environment): Promise<string | undefined> {
  const file = environment.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE;
  if (file === undefined) return environment.AWS_CONTAINER_AUTHORIZATION_TOKEN;
  return (await readStart(file, LARGEST_TOKEN_FILE)).toString('utf8').trim();
}

/** Signature Version 4. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
export function signedHeaders({
  url,
  body,
  region,
  keys,
  at,
}: {
  url: URL;
  body: string;
  region: string;
  keys: AwsKeys;
  at: Date;
}): Record<string, string> {
  const time = at.toISOString().replace(/[:-]|\.\d{3}/g, '');
  const day = time.slice(0, 8);
  const headers: Record<string, string> = {
    'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
    host: url.host,
    'x-amz-date': time,
    ...(keys.sessionToken === undefined ? {} : { 'x-amz-security-token': keys.sessionToken }),
  };
  const names = Object.keys(headers).sort();
  const canonical = [
    'POST',
    url.pathname,
    '',
    ...names.map((name) => `${name}:${headers[name]}`),
    '',
    names.join(';'),
    sha256(body),
  ].join('\n');
  const scope = `${day}/${region}/sts/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n');
  const key = [day, region, 'sts', 'aws4_request'].reduce<Buffer | string>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    `AWS4${keys.secret}`,
  );
  const signature = createHmac('sha256', key).update(toSign).digest('hex');
  return {
    ...headers,
    authorization: `AWS4-HMAC-SHA256 Credential=${keys.id}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`,
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function between(text: string, start: string, end: string): string | undefined {
  const from = text.indexOf(start);
  const to = from === -1 ? -1 : text.indexOf(end, from + start.length);
  return to === -1 ? undefined : text.slice(from + start.length, to);
}

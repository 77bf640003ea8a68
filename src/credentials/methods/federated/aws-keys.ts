import { ConfigurationError, CredentialUnavailableError } from '../../../errors.js';
import { type HttpReply, httpExchange, jsonObject } from '../../entra/http-request.js';
import type { Environment } from '../../input/environment.js';
import type { AssertionRequest } from './assertion-source.js';
import { secureUrl } from './issuers.js';
import { readTextFile } from './token-file.js';

/** The keys of an AWS role, valid for a few hours. */
export interface AwsKeys {
  id: string;
  secret: string;
  sessionToken: string | undefined;
}

/** The region and keys of this process's role. */
export interface AwsRole {
  region: string;
  keys: AwsKeys;
}

/** A local endpoint that takes longer will not answer. */
const CONTAINER_TIMEOUT_MS = 5_000;
/** Outside EC2, nothing answers at the address of the instance metadata. AWS's own SDKs wait for as long. */
const INSTANCE_TIMEOUT_MS = 1_000;
/** Plain HTTP is acceptable for these: the addresses of ECS, EKS Pod Identity and EC2's instance metadata. */
const LINK_LOCAL = ['169.254.170.2', '169.254.170.23', '[fd00:ec2::23]', '169.254.169.254', '[fd00:ec2::254]'];
const ROLE_PATH = 'meta-data/iam/security-credentials/';

/**
 * The role of this process, in the order of AWS's own SDKs: variables, the endpoint of a container (ECS, EKS Pod Identity,
 * Lambda), the instance metadata of EC2.
 */
export async function awsRole(request: AssertionRequest): Promise<AwsRole> {
  const { environment } = request;
  const instance = new InstanceMetadata(request);
  const keys = keysInVariables(environment) ?? (await keysOfContainer(request)) ?? (await instance.keys());
  const region = environment.AWS_REGION ?? environment.AWS_DEFAULT_REGION ?? (await instance.region());
  if (region !== undefined && /^[a-z0-9-]{1,40}$/.test(region)) return { region, keys };
  throw new ConfigurationError("The environment variable 'AWS_REGION' must name the region.", {
    hint: 'The global endpoint of STS does not issue web identity tokens.',
  });
}

function keysInVariables(environment: Environment): AwsKeys | undefined {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: sessionToken } = environment;
  return id !== undefined && secret !== undefined ? { id, secret, sessionToken } : undefined;
}

async function keysOfContainer({ environment, abortSignal }: AssertionRequest): Promise<AwsKeys | undefined> {
  const url = containerEndpoint(environment);
  if (url === undefined) return undefined;
  const authorization = await containerAuthorization(environment);
  const reply = await httpExchange({
    url,
    headers: authorization === undefined ? {} : { authorization },
    timeoutMs: CONTAINER_TIMEOUT_MS,
    abortSignal,
  });
  return keysIn(reply, 'The container endpoint of AWS');
}

function containerEndpoint(environment: Environment): URL | undefined {
  const { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: relative, AWS_CONTAINER_CREDENTIALS_FULL_URI: full } = environment;
  if (relative !== undefined) return new URL(`http://169.254.170.2/${relative.replace(/^\/{1,8}/, '')}`);
  return full === undefined ? undefined : localUrl(full, 'AWS_CONTAINER_CREDENTIALS_FULL_URI');
}

async function containerAuthorization(environment: Environment): Promise<string | undefined> {
  const file = environment.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE;
  if (file === undefined) return environment.AWS_CONTAINER_AUTHORIZATION_TOKEN;
  return readTextFile(file, 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE');
}

/**
 * The instance metadata of EC2, version 2: every request needs a session token.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
 */
class InstanceMetadata {
  readonly #request: AssertionRequest;
  #session: string | undefined;

  constructor(request: AssertionRequest) {
    this.#request = request;
  }

  async keys(): Promise<AwsKeys> {
    const { AWS_EC2_METADATA_DISABLED: disabled } = this.#request.environment;
    if (disabled?.toLowerCase() === 'true') throw noCredentials();
    const role = await this.#read(ROLE_PATH);
    const name = role.body.trim().split('\n', 1)[0] ?? '';
    if (role.status !== 200 || !/^[\w+=,.@-]{1,128}$/.test(name)) {
      throw new CredentialUnavailableError(`This EC2 instance has no role (HTTP ${role.status}).`, {
        hint: 'Attach an instance profile whose role may call sts:GetWebIdentityToken.',
      });
    }
    return keysIn(await this.#read(`${ROLE_PATH}${name}`), 'The instance metadata of EC2');
  }

  /** The region of the instance; undefined if this is not one. */
  async region(): Promise<string | undefined> {
    // If the keys come from elsewhere, this need not be an EC2 instance.
    if (this.#session === undefined) return undefined;
    const reply = await this.#read('meta-data/placement/region');
    return reply.status === 200 ? reply.body.trim() : undefined;
  }

  async #read(path: string): Promise<HttpReply> {
    this.#session ??= await this.#startSession();
    return this.#send(path, 'GET', { 'x-aws-ec2-metadata-token': this.#session });
  }

  async #startSession(): Promise<string> {
    const seconds = { 'x-aws-ec2-metadata-token-ttl-seconds': '60' };
    const reply = await this.#send('api/token', 'PUT', seconds).catch((error) => {
      if (this.#request.abortSignal?.aborted) throw error;
      throw noCredentials(error);
    });
    const session = reply.body.trim();
    if (reply.status === 200 && /^[\x21-\x7e]{1,4096}$/.test(session)) return session;
    throw new CredentialUnavailableError(`The instance metadata of EC2 grants no session (HTTP ${reply.status}).`, {
      hint: 'In a container on EC2, the hop limit of the instance metadata must be at least 2.',
    });
  }

  #send(path: string, method: 'GET' | 'PUT', headers: Record<string, string>): Promise<HttpReply> {
    const { environment, abortSignal } = this.#request;
    const isV6 = environment.AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE?.toLowerCase() === 'ipv6';
    const base = localUrl(
      environment.AWS_EC2_METADATA_SERVICE_ENDPOINT ?? `http://${isV6 ? '[fd00:ec2::254]' : '169.254.169.254'}`,
      'AWS_EC2_METADATA_SERVICE_ENDPOINT',
    );
    const url = new URL(`/latest/${path}`, base);
    return httpExchange({ url, method, headers, timeoutMs: INSTANCE_TIMEOUT_MS, abortSignal });
  }
}

function noCredentials(cause?: unknown): CredentialUnavailableError {
  return new CredentialUnavailableError(
    'No AWS credentials: no AWS_ACCESS_KEY_ID, no endpoint of a container, and no answer from the instance metadata of EC2.',
    { cause, hint: "With a profile, pass a function as 'from' that calls GetWebIdentityToken with the AWS SDK." },
  );
}

/** Plain HTTP is allowed only to this machine, or to the link-local addresses of AWS. */
function localUrl(text: string, variable: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url?.protocol === 'http:' && LINK_LOCAL.includes(url.hostname) ? url : secureUrl(text, variable);
}

function keysIn(reply: HttpReply, who: string): AwsKeys {
  const { AccessKeyId: id, SecretAccessKey: secret, Token: token } = jsonObject(reply.body) ?? {};
  if (reply.status === 200 && typeof id === 'string' && typeof secret === 'string') {
    return { id, secret, sessionToken: typeof token === 'string' ? token : undefined };
  }
  throw new CredentialUnavailableError(`${who} returned no credentials (HTTP ${reply.status}).`);
}

import { dirname, normalize } from 'node:path';
import { ConfigurationError, CredentialRejectedError, TokenUnavailableError } from '../../errors.js';
import { limitConcurrency } from '../concurrency.js';
import type { GetTokenOptions } from '../credential.js';
import { type HttpReply, httpExchange, jsonObject } from '../entra/http-request.js';
import { errorCode, redactedCause } from '../entra/redact.js';
import type { Environment, VariableName } from '../input/environment.js';
import { readStart } from '../input/read-file.js';

/** Which identity to use; at most one field is set. */
export interface IdentityChoice {
  clientId: string | undefined;
  objectId: string | undefined;
  resourceId: string | undefined;
}

export interface SourceRequest {
  resource: string;
  choice: IdentityChoice;
  /** Where Azure Arc keeps its key files, if not in the usual folder. */
  arcKeyDirectory: string | undefined;
  options: GetTokenOptions;
  environment: Environment;
}

/** The protocol of one platform: one request for one token. The reply may be a refusal. */
export type Source = (request: SourceRequest) => Promise<HttpReply>;

/** A local endpoint that takes longer than this will not answer. */
const TIMEOUT_MS = 5_000;

/** Virtual machines, scale sets and AKS nodes: the Instance Metadata Service. */
export const IMDS = {
  /** azure-sdk and .NET wait 1 to 2 s for it. */
  probeTimeoutMs: 1_000,
  url(environment: Environment): URL {
    const host = environment.AZURE_POD_IDENTITY_AUTHORITY_HOST ?? 'http://169.254.169.254';
    return endpoint('/metadata/identity/oauth2/token', 'AZURE_POD_IDENTITY_AUTHORITY_HOST', host);
  },
} as const;

/** IMDS answers 5 requests at a time per machine and rejects the rest (managed identities FAQ). */
const imdsTurn = limitConcurrency(5);

/** @see https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token */
export function imds(request: SourceRequest): Promise<HttpReply> {
  return imdsTurn(() =>
    get(
      IMDS.url(request.environment),
      request,
      { 'api-version': '2018-02-01', ...chosen(request.choice, 'msi_res_id') },
      { Metadata: 'true' },
    ),
  );
}

/** App Service, Functions, Container Apps. @see https://learn.microsoft.com/azure/app-service/overview-managed-identity */
export async function appService(request: SourceRequest): Promise<HttpReply> {
  const { IDENTITY_HEADER = '' } = request.environment;
  const query = { 'api-version': '2019-08-01', ...chosen(request.choice, 'mi_res_id') };
  return get(endpointIn(request, 'IDENTITY_ENDPOINT'), request, query, { 'X-IDENTITY-HEADER': IDENTITY_HEADER });
}

/**
 * Service Fabric: https with a self-signed certificate, known by its thumbprint. It is compared before the secret is
 * sent. @see https://learn.microsoft.com/azure/service-fabric/how-to-managed-identity-service-fabric-app-code
 */
export async function serviceFabric(request: SourceRequest): Promise<HttpReply> {
  const { IDENTITY_HEADER = '', IDENTITY_SERVER_THUMBPRINT } = request.environment;
  refuseChoice(
    request.choice,
    ['clientId', 'objectId', 'resourceId'],
    'Service Fabric',
    'the application manifest decides',
  );
  const url = endpointIn(request, 'IDENTITY_ENDPOINT');
  if (url.protocol !== 'https:') throw new ConfigurationError("'IDENTITY_ENDPOINT' of Service Fabric must be https.");
  const query = { 'api-version': '2019-07-01-preview' };
  return get(url, request, query, { secret: IDENTITY_HEADER }, IDENTITY_SERVER_THUMBPRINT);
}

/** Azure Machine Learning compute. @see https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication */
export async function machineLearning(request: SourceRequest): Promise<HttpReply> {
  const { MSI_SECRET = '', DEFAULT_IDENTITY_CLIENT_ID } = request.environment;
  refuseChoice(request.choice, ['objectId', 'resourceId'], 'Azure Machine Learning', "it supports only 'clientId'");
  const clientId = request.choice.clientId ?? DEFAULT_IDENTITY_CLIENT_ID;
  const query = { 'api-version': '2017-09-01', ...(clientId === undefined ? {} : { clientid: clientId }) };
  return get(endpointIn(request, 'MSI_ENDPOINT'), request, query, { secret: MSI_SECRET });
}

/** Azure Cloud Shell: the identity is the person's. */
export async function cloudShell(request: SourceRequest): Promise<HttpReply> {
  const { resource, choice, options } = request;
  refuseChoice(
    choice,
    ['clientId', 'objectId', 'resourceId'],
    'Cloud Shell',
    'the token is that of the signed-in person',
  );
  return httpExchange({
    url: endpointIn(request, 'MSI_ENDPOINT'),
    method: 'POST',
    headers: { Metadata: 'true', 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ resource }).toString(),
    timeoutMs: TIMEOUT_MS,
    abortSignal: options.abortSignal,
  });
}

export const AZURE_ARC = {
  linuxAgent: '/opt/azcmagent/bin/himds',
  windowsAgent: 'AzureConnectedMachineAgent\\himds.exe',
  defaultEndpoint: 'http://127.0.0.1:40342/metadata/identity/oauth2/token',
  largestKeyFile: 4096,
} as const;

/**
 * Azure Arc: the agent names a file that only its own users can read, and returns a token to a caller that presents its
 * content. The file must be in the agent's own folder: an answer must not make us read and send any other.
 * @see https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication
 */
export async function azureArc(request: SourceRequest): Promise<HttpReply> {
  const { choice } = request;
  const url = endpoint('', 'IDENTITY_ENDPOINT', request.environment.IDENTITY_ENDPOINT ?? AZURE_ARC.defaultEndpoint);
  const query = { 'api-version': '2020-06-01', ...chosen(choice, 'msi_res_id') };
  const challenge = await get(url, request, query, { Metadata: 'true' });
  if (challenge.status !== 401) return challenge;
  const directory = request.arcKeyDirectory ?? arcKeyDirectory(request.environment);
  const key = await readArcKey(challenge.headers['www-authenticate'], directory);
  const reply = await get(url, request, query, { Metadata: 'true', Authorization: `Basic ${key}` });
  if (reply.status === 200) refuseOtherIdentity(jsonObject(reply.body), choice);
  return reply;
}

async function readArcKey(challenge: string | undefined, directory: string): Promise<string> {
  const path = /^Basic realm="?([^"]+)"?$/i.exec(challenge ?? '')?.[1];
  if (path === undefined) throw new TokenUnavailableError('Azure Arc did not name its key file.');
  if (dirname(normalize(path)) !== normalize(directory) || !path.endsWith('.key')) {
    throw new CredentialRejectedError(`Azure Arc named a key file outside ${directory}; it was not read.`, {
      hint: "If the agent's files are mounted elsewhere, set 'arcKeyDirectory'.",
    });
  }
  try {
    const key = await readStart(path, AZURE_ARC.largestKeyFile);
    if (key.length <= AZURE_ARC.largestKeyFile) return key.toString('utf8').trim();
  } catch (cause) {
    throw new CredentialRejectedError(`The key file of Azure Arc cannot be read (${errorCode(cause) ?? 'unknown'}).`, {
      cause: redactedCause(cause),
      hint: "Add this process's user to the group 'himds' (Windows: 'Hybrid agent extension applications').",
    });
  }
  throw new CredentialRejectedError('The key file of Azure Arc is too large.');
}

function arcKeyDirectory({ ProgramData = 'C:\\ProgramData' }: Environment): string {
  return process.platform === 'win32'
    ? `${ProgramData}\\AzureConnectedMachineAgent\\Tokens`
    : '/var/opt/azcmagent/tokens';
}

/**
 * Older agents ignore the choice and answer with the machine's own identity, which would log in as another principal.
 */
function refuseOtherIdentity(answer: Record<string, unknown> | undefined, choice: IdentityChoice): void {
  const echoes: readonly [string | undefined, unknown][] = [
    [choice.clientId, answer?.client_id],
    [choice.objectId, answer?.object_id],
    [choice.resourceId, answer?.msi_res_id],
  ];
  for (const [wanted, given] of echoes) {
    if (wanted === undefined || String(given).toLowerCase() === wanted.toLowerCase()) continue;
    throw new CredentialRejectedError('The Azure Arc agent answered for an identity other than the requested one.', {
      hint: 'Update the agent: user-assigned identities need a recent one.',
    });
  }
}

function get(
  endpointUrl: URL,
  { resource, options }: SourceRequest,
  query: Record<string, string>,
  headers: Record<string, string>,
  certificateThumbprint?: string,
): Promise<HttpReply> {
  const url = new URL(endpointUrl);
  for (const [name, value] of Object.entries({ ...query, resource })) url.searchParams.set(name, value);
  const { abortSignal } = options;
  return httpExchange({ url, headers, timeoutMs: TIMEOUT_MS, abortSignal, certificateThumbprint });
}

function chosen(choice: IdentityChoice, resourceIdName: string): Record<string, string> {
  if (choice.clientId !== undefined) return { client_id: choice.clientId };
  if (choice.objectId !== undefined) return { object_id: choice.objectId };
  return choice.resourceId === undefined ? {} : { [resourceIdName]: choice.resourceId };
}

function refuseChoice(
  choice: IdentityChoice,
  keys: readonly (keyof IdentityChoice)[],
  platform: string,
  because: string,
): void {
  const key = keys.find((name) => choice[name] !== undefined);
  if (key === undefined) return;
  throw new ConfigurationError(`'${key}' has no effect on ${platform}: ${because}.`, { hint: `Leave out '${key}'.` });
}

function endpointIn({ environment }: SourceRequest, name: VariableName): URL {
  return endpoint('', name, environment[name] ?? '');
}

function endpoint(path: string, name: string, base: string): URL {
  const text = (base.endsWith('/') ? base.slice(0, -1) : base) + path;
  if (/^https?:\/\//i.test(text) && URL.canParse(text)) return new URL(text);
  throw new ConfigurationError(`The environment variable '${name}' must be an http or https URL.`);
}

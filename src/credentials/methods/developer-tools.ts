import {
  ConfigurationError,
  CredentialUnavailableError,
  InteractionRequiredError,
  type TokenPoolError,
  TokenUnavailableError,
} from '../../errors.js';
import { epochMs } from '../../time.js';
import type { AccessToken, Credential } from '../credential.js';
import { defineCredential } from '../define-credential.js';
import { jsonObject } from '../entra/http-request.js';
import { answeredToken } from '../input/answered-token.js';
import { DEVELOPER_TOOL_VARIABLES, type Environment, readEnvironment, valuesOf } from '../input/environment.js';
import { optionalText, requireTimeout } from '../input/require-option.js';
import { defineMethod } from './method.js';
import { runTool } from './run-tool.js';

/** Options shared by the developer tools. */
interface ToolOptions {
  /** A tenant other than the tool's own. */
  tenantId?: string;
  /** How long the tool may take, ms. Default 30,000: it starts an interpreter first. */
  timeoutMs?: number | undefined;
}

/** The person who is signed in to Azure CLI on this machine. */
export interface AzureCliOptions extends ToolOptions {
  method: 'azure-cli';
  /** The subscription whose account to use. */
  subscription?: string;
}

/** The person who is signed in to Azure Developer CLI on this machine. */
export interface AzureDeveloperCliOptions extends ToolOptions {
  method: 'azure-developer-cli';
}

/** The person who is signed in to Azure PowerShell on this machine. */
export interface AzurePowerShellOptions extends ToolOptions {
  method: 'azure-powershell';
}

/** The person who is signed in to a developer tool on this machine. */
export type DeveloperToolOptions = AzureCliOptions | AzureDeveloperCliOptions | AzurePowerShellOptions;

interface ToolDescription {
  name: string;
  command: string;
  batchFileOnWindows: boolean;
  install: string;
  signIn: string;
  /** The tool's output when no account is signed in. */
  signedOut: RegExp;
  args(request: { scope: string; tenantId: string | undefined; subscription: string | undefined }): string[];
  read(output: Record<string, unknown>): { token: unknown; expires: unknown };
}

const resourceOf = (scope: string) => (scope.endsWith('/.default') ? scope.slice(0, -'/.default'.length) : scope);

/** Prints JSON; a secure string, which is the default since Az 14, becomes plain text inside the script. */
const POWERSHELL_SCRIPT = (scope: string, tenantId: string | undefined) => `
$ErrorActionPreference = 'Stop'
Import-Module Az.Accounts -MinimumVersion 2.2.0
$p = @{ ResourceUrl = '${resourceOf(scope)}' }
${tenantId === undefined ? '' : `$p.TenantId = '${tenantId}'`}
$t = Get-AzAccessToken @p
$s = $t.Token
if ($s -is [System.Security.SecureString]) { $s = [System.Net.NetworkCredential]::new('', $s).Password }
@{ token = $s; expires = $t.ExpiresOn.ToUnixTimeSeconds() } | ConvertTo-Json -Compress`;

const TOOLS: Readonly<Record<DeveloperToolOptions['method'], ToolDescription>> = {
  'azure-cli': {
    name: 'Azure CLI',
    command: 'az',
    batchFileOnWindows: true,
    install: 'Install it: https://learn.microsoft.com/cli/azure/install-azure-cli',
    signIn: 'Run: az login',
    signedOut: /az login|az account set|no subscription|AADSTS\d+/i,
    args: ({ scope, tenantId, subscription }) => [
      ...['account', 'get-access-token', '--output', 'json', '--resource', resourceOf(scope)],
      ...(tenantId === undefined ? [] : ['--tenant', tenantId]),
      ...(subscription === undefined ? [] : ['--subscription', subscription]),
    ],
    // `expires_on` (epoch seconds) since 2.54; before that only a local time without its zone.
    read: (output) => ({ token: output.accessToken, expires: output.expires_on ?? output.expiresOn }),
  },
  'azure-developer-cli': {
    name: 'Azure Developer CLI',
    command: 'azd',
    batchFileOnWindows: false,
    install: 'Install it: https://learn.microsoft.com/azure/developer/azure-developer-cli/install-azd',
    signIn: 'Run: azd auth login',
    signedOut: /azd auth login|not logged in|AADSTS\d+/i,
    args: ({ scope, tenantId }) => [
      ...['auth', 'token', '--output', 'json', '--no-prompt', '--scope', scope],
      ...(tenantId === undefined ? [] : ['--tenant-id', tenantId]),
    ],
    read: (output) => ({ token: output.token, expires: output.expiresOn }),
  },
  'azure-powershell': {
    name: 'Azure PowerShell',
    command: 'pwsh',
    batchFileOnWindows: false,
    install:
      'Install PowerShell and the module Az.Accounts: https://learn.microsoft.com/powershell/azure/install-azure-powershell',
    signIn: 'Run: Connect-AzAccount',
    signedOut: /Connect-AzAccount/i,
    args: ({ scope, tenantId }) => [
      ...['-NoLogo', '-NoProfile', '-NonInteractive', '-EncodedCommand'],
      Buffer.from(POWERSHELL_SCRIPT(scope, tenantId), 'utf16le').toString('base64'),
    ],
    read: (output) => ({ token: output.token, expires: output.expires }),
  },
};

const TIMEOUT_MS = 30_000;

/** @throws ConfigurationError naming the option */
export function developerTool(options: DeveloperToolOptions, environment: Environment = readEnvironment()): Credential {
  const tool = TOOLS[options.method];
  const timeoutMs = requireTimeout(options.timeoutMs ?? TIMEOUT_MS, 'timeoutMs');
  const tenantId = checked(options.tenantId, 'tenantId', /^[\w.-]{1,253}$/);
  const subscription =
    options.method === 'azure-cli' ? checked(options.subscription, 'subscription', /^[\w .()-]{1,90}$/) : undefined;
  return defineCredential({
    method: options.method,
    tenantId,
    identity: [tenantId, subscription],
    environment: valuesOf(DEVELOPER_TOOL_VARIABLES, environment),
    // The tool's own timeout comes first.
    requestTimeoutMs: timeoutMs + 2_000,
    async request(scope, requested) {
      const args = tool.args({
        scope: checked(scope, 'scope', /^[\w.:/-]{1,200}$/) ?? '',
        tenantId: checked(requested.tenantId, 'tenantId', /^[\w.-]{1,253}$/) ?? tenantId,
        subscription,
      });
      const { abortSignal } = requested;
      const output = await runTool({ ...tool, args, timeoutMs, abortSignal, environment }).catch(
        (error: TokenPoolError) => {
          throw signedOut(tool, error);
        },
      );
      return readOutput(tool, output);
    },
  });
}

function signedOut(tool: ToolDescription, error: TokenPoolError): TokenPoolError {
  if (error.code !== 'ERR_TOKEN_UNAVAILABLE') return error;
  if (/no module|was not loaded|CommandNotFound/i.test(error.message)) {
    return new CredentialUnavailableError(`${tool.name} is not complete.`, { hint: tool.install });
  }
  if (!tool.signedOut.test(error.message)) return error;
  return new SignedOutError(error.message, { hint: tool.signIn });
}

/** The tool is installed, but no account is signed in: a person can fix that, and a chain may try its next member. */
export class SignedOutError extends InteractionRequiredError {}

function readOutput(tool: ToolDescription, output: string): AccessToken {
  // azd and pwsh may print warnings before the JSON.
  const body = jsonObject(output) ?? jsonObject(output.slice(output.lastIndexOf('\n{') + 1).trim());
  const { token, expires } = body === undefined ? { token: undefined, expires: undefined } : tool.read(body);
  const expiresOn =
    typeof expires === 'string' && !/^\d+$/.test(expires) ? Date.parse(expires) : epochMs(Number(expires));
  const hint = `Update the tool, and run it manually: ${tool.command}`;
  if (typeof token !== 'string') throw new TokenUnavailableError(`${tool.name} printed no token.`, { hint });
  return answeredToken({ token, expiresOn }, { name: tool.name, hint });
}

/** A value that passes here becomes an argument of a program. */
function checked(value: unknown, key: string, pattern: RegExp): string | undefined {
  const text = optionalText(value, key);
  if (text === undefined || (pattern.test(text) && !text.startsWith('-'))) return text;
  throw new ConfigurationError(`'${key}' contains a character that is not allowed, or begins with '-'.`);
}

export const azureCliMethod = defineMethod<AzureCliOptions>({
  name: 'azure-cli',
  options: { tenantId: true, timeoutMs: true, subscription: true },
  selectedBy: ['subscription'],
  create: (options) => developerTool(options),
});

export const azureDeveloperCliMethod = defineMethod<AzureDeveloperCliOptions>({
  name: 'azure-developer-cli',
  options: { tenantId: true, timeoutMs: true },
  create: (options) => developerTool(options),
});

export const azurePowershellMethod = defineMethod<AzurePowerShellOptions>({
  name: 'azure-powershell',
  options: { tenantId: true, timeoutMs: true },
  create: (options) => developerTool(options),
});

import { ConfigurationError } from '../../errors.js';
import type { Credential } from '../credential.js';
import type { AuthorityOptions } from '../entra/authority.js';
import { defaultChain } from '../methods/default-chain.js';
import { staticToken } from '../methods/static-token.js';
import { parseConnectionString } from './connection-string.js';
import { fromServiceTokenProvider } from './from-service-token-provider.js';
import { fromSqlClient } from './from-sql-client.js';

/** The variable that AzureServiceTokenProvider reads where it is given no connection string. */
const VARIABLE = 'AzureServicesAuthConnectionString';

/**
 * The credential that a text means: an access token, a connection string of AzureServiceTokenProvider, or one of ADO.NET
 * with `Authentication=Active Directory ...`. Nothing at all means the variable `AzureServicesAuthConnectionString`, and
 * where that is not set either, the default chain.
 *
 * @throws ConfigurationError naming the key; values are never quoted
 */
export function fromText(text: string, authority: AuthorityOptions = {}): Credential {
  const given = text.trim() === '' ? (process.env[VARIABLE]?.trim() ?? '') : text.trim();
  if (given === '') return defaultChain({}, authority);
  if (/^(Bearer\s+)?eyJ[\w-]+\.[\w-]+\./i.test(given)) return staticToken({ token: given });
  if (!given.includes('=')) throw unclear();
  if (/(^|;)\s*RunAs\s*=/i.test(given)) {
    return fromServiceTokenProvider(parseConnectionString(given, 'error'), authority);
  }
  const entries = parseConnectionString(given);
  if (entries.has('authentication')) return fromSqlClient(entries, authority);
  throw unclear();
}

function unclear(): ConfigurationError {
  return new ConfigurationError(
    'This text is neither an access token nor a connection string that names a credential.',
    {
      hint: "Expected: 'RunAs=App;AppId=...;TenantId=...;AppKey=...', 'Authentication=Active Directory Default;...', or a JWT.",
    },
  );
}

import { ConfigurationError } from '../../errors.js';
import type { Credential } from '../credential.js';
import type { AuthorityOptions } from '../entra/authority.js';
import { staticToken } from '../methods/access-token.js';
import { defaultChain } from '../methods/chain.js';
import { parseConnectionString } from './connection-string.js';
import { readEnvironment } from './environment.js';
import { fromServiceTokenProvider, SERVICE_TOKEN_PROVIDER_KEYS } from './from-service-token-provider.js';
import { fromSqlClient } from './from-sql-client.js';

/**
 * The credential that a text describes: an access token, a connection string of AzureServiceTokenProvider, or one of
 * ADO.NET with `Authentication=Active Directory ...`. An empty text selects the connection string in the variable
 * `AzureServicesAuthConnectionString`, or the default chain if that is not set.
 *
 * @throws ConfigurationError that never quotes the text
 */
export function fromText(text: string, authority: AuthorityOptions = {}): Credential {
  const given = text.trim() === '' ? (readEnvironment().AzureServicesAuthConnectionString?.trim() ?? '') : text.trim();
  if (given === '') return defaultChain({}, authority);
  if (/^(?:Bearer\s{1,8})?eyJ[\w-]+\.[\w-]+\./i.test(given.slice(0, LONGEST_TOKEN)))
    return staticToken({ token: given });
  if (/^[a-z][a-z0-9+.-]{0,20}:\/\//i.test(given)) {
    throw new ConfigurationError('A URL does not describe a credential.', { hint: EXPECTED });
  }
  if (given.length > LONGEST_TOKEN || !given.includes('=')) throw unclear();
  if (/(?:^|;)\s{0,100}RunAs\s{0,100}=/i.test(given)) {
    return fromServiceTokenProvider(
      parseConnectionString(given, { repeated: 'error', known: SERVICE_TOKEN_PROVIDER_KEYS }),
      authority,
    );
  }
  const entries = parseConnectionString(given);
  if (entries.has('authentication')) return fromSqlClient(entries, authority);
  throw unclear();
}

const EXPECTED =
  "Expected: 'RunAs=App;AppId=...;TenantId=...;AppKey=...', 'Authentication=Active Directory Default;...', or a JWT.";
/** Longer than any token or connection string. */
const LONGEST_TOKEN = 65_536;

function unclear(): ConfigurationError {
  return new ConfigurationError(
    'This text is neither an access token nor a connection string that describes a credential.',
    { hint: EXPECTED },
  );
}

import { type CredentialInput, createCredential } from '../credentials/create-credential.js';
import type { TokenCredential } from '../credentials/credential.js';
import { scopeForServer } from '../credentials/entra/scope-for-server.js';
import type { EncryptedTokenStore } from '../tokens/encrypted-token-store.js';
import { OnePrincipal } from '../tokens/one-principal.js';
import { sharedTokenCache } from '../tokens/shared-token-cache.js';
import { type CheckedConfig, checkConfig, definedOnly, usesToken } from './check-config.js';
import type { TokenPoolConfig } from './config.js';
import type { TokenSource } from './token-login.js';

export type { PoolSettings } from './check-config.js';

/** A checked config with its credential. */
export interface Settings extends Omit<CheckedConfig, 'config'> {
  /** Where tokens come from; undefined for SQL login and NTLM. */
  source: TokenSource | undefined;
  tokenStore: EncryptedTokenStore | undefined;
}

/**
 * Reads an mssql config or connection string. The input is never changed.
 *
 * @throws ConfigurationError that names the setting and how to fix it
 */
export function settingsFrom(input: TokenPoolConfig | string): Settings {
  const { config, configuration, pool, validateConnection, strictExpiry, beforeConnect, tedious } = checkConfig(input);
  const credential = credentialOf(config);
  const source = credential && tokenSource(credential, config, configuration.server, pool.acquireTimeoutMillis);
  const { tokenStore } = config;
  // Not a spread of the rest, for which V8 would give each of these objects its own hidden class, 400 bytes in every
  // pool.
  return { configuration, pool, validateConnection, strictExpiry, beforeConnect, tedious, source, tokenStore };
}

/** The credential of a config; undefined for SQL login and NTLM. */
export function credentialOf(config: TokenPoolConfig): TokenCredential | undefined {
  if (!usesToken(config)) return undefined;
  const authentication = config.authentication ?? flatAuthentication(config);
  return createCredential(authentication as CredentialInput, { server: config.server });
}

/** mssql's parseConnectionString puts the options of a credential next to `server`. */
function flatAuthentication(config: TokenPoolConfig): { type: string | undefined; options: object } {
  const { authentication_type: type, user, password, clientId, clientSecret, tenantId, token } = config;
  const options = definedOnly({ userName: user, password, clientId, clientSecret, tenantId, token });
  // One that is present without a value is refused: it selects who logs in.
  for (const name of ['clientId', 'tenantId'] as const) {
    if (name in config && config[name] === undefined) Object.assign(options, { [name]: undefined });
  }
  return { type, options };
}

function tokenSource(
  credential: TokenCredential,
  config: TokenPoolConfig,
  server: string,
  patienceMs: number,
): TokenSource {
  const scope = config.scope ?? scopeForServer(server);
  const { tokenStore } = config;
  const tokens = new OnePrincipal(sharedTokenCache(credential, { tokenStore }, patienceMs));
  return { tokens, scope, scopeIsFixed: config.scope !== undefined };
}

import type { TokenPoolConfig } from '../connections/config.js';
import { withInherited } from '../connections/inherited-settings.js';
import { refuseMisspelt } from '../connections/misspelt-settings.js';
import { settingsFrom } from '../connections/settings.js';
import { createOnBehalfOf } from '../credentials/create-credential.js';
import type { OnBehalfOfApplication } from '../credentials/methods/on-behalf-of.js';
import { ConfigurationError } from '../errors.js';
import type { EncryptedTokenStore } from '../tokens/encrypted-token-store.js';

/** Default of `maxPools`. */
export const MOST_POOLS = 1_000;

/** A pool's config that applies to each identity (`pool.max` is per identity), and limits for all of them together. */
export interface TokenPoolsConfig extends Omit<TokenPoolConfig, 'authentication'> {
  /** The application that calls SQL Server on behalf of its users; needed for `for({ userAssertion })` only. */
  authentication?: OnBehalfOfApplication | undefined;
  /** Maximum number of physical connections of all identities together. Default 100. */
  maxConnections?: number | undefined;
  /** Maximum number of pools, that is of identities that have connections or wait for one. Default 1,000. */
  maxPools?: number | undefined;
  /**
   * Maximum number of concurrent logins of all identities together; `pool.maxOpening` is per identity. Default 0: no
   * limit.
   */
  maxOpening?: number | undefined;
}

/** A config after all defaults: the limits, and what applies to each identity. */
interface CheckedPoolsConfig extends PoolLimits {
  acquireTimeoutMillis: number;
  /** Scope of the tokens; empty if it is not known in advance. */
  scope: string;
  forEach: Omit<TokenPoolsConfig, keyof PoolLimits>;
}

interface PoolLimits {
  maxConnections: number;
  maxPools: number;
  maxOpening: number;
}

/** @throws ConfigurationError that names the setting: a mistake is reported now, not to the first user */
export function checkPoolsConfig(config: TokenPoolsConfig): CheckedPoolsConfig {
  const given = withInherited(config as TokenPoolConfig) as TokenPoolsConfig;
  refuseMisspelt(given, ['maxConnections', 'maxPools', 'maxOpening']);
  const { maxConnections = 100, maxPools = MOST_POOLS, maxOpening = 0, ...forEach } = given;
  for (const [name, value, least] of [
    ['maxConnections', maxConnections, 1],
    ['maxPools', maxPools, 1],
    ['maxOpening', maxOpening, 0],
  ] as const) {
    if (Number.isInteger(value) && value >= least) continue;
    throw new ConfigurationError(`'${name}' must be a whole number, ${least} or more.`);
  }
  const { pool, source } = settingsFrom({
    ...forEach,
    authentication: async () => '',
    tokenStore: undefined,
  } as TokenPoolConfig);
  requireUnnamed(forEach.tokenStore);
  requireNoLogin(forEach);
  if (forEach.authentication !== undefined) createOnBehalfOf(forEach.authentication, 'checks-the-other-options');
  const { acquireTimeoutMillis } = pool;
  return { maxConnections, maxPools, maxOpening, acquireTimeoutMillis, scope: source?.scope ?? '', forEach };
}

/** A login in the config would apply to every identity. */
function requireNoLogin({
  authentication,
  user,
  password,
  authentication_type: type,
}: Pick<TokenPoolConfig, 'user' | 'password' | 'authentication_type'> & { authentication?: unknown }): void {
  const isApplication =
    authentication === undefined ||
    (typeof authentication === 'object' && authentication !== null && !('type' in authentication));
  if (isApplication && user === undefined && password === undefined && type === undefined) return;
  throw new ConfigurationError('The config of createTokenPools() must not contain a login; pass it to pools.for().', {
    hint: "'authentication' is the application that calls on behalf of its users: { tenantId, clientId, clientSecret }.",
  });
}

/** A named store stands for one principal (P9). */
function requireUnnamed(store: EncryptedTokenStore | undefined): void {
  if (store?.keyOf({ getToken: async () => null }) === undefined) return;
  throw new ConfigurationError(
    "'tokenStore' has a name, which stands for one principal; createTokenPools() has many.",
    {
      hint: 'Pass the store without a name; identities that would need one do not use the store.',
    },
  );
}

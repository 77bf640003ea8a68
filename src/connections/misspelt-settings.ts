import { closest, didYouMean } from '../credentials/input/did-you-mean.js';
import { ConfigurationError } from '../errors.js';
import type { TokenPoolConfig } from './config.js';

/** Every setting; the compiler reports a missing one. */
const SETTINGS: Readonly<Record<keyof TokenPoolConfig, true>> = {
  server: true,
  port: true,
  database: true,
  user: true,
  password: true,
  domain: true,
  authentication: true,
  encrypt: true,
  trustServerCertificate: true,
  connectionTimeout: true,
  requestTimeout: true,
  timeout: true,
  options: true,
  pool: true,
  readOnly: true,
  validateConnection: true,
  strictExpiry: true,
  tokenStore: true,
  scope: true,
  beforeConnect: true,
  tedious: true,
  authentication_type: true,
  clientId: true,
  clientSecret: true,
  tenantId: true,
  token: true,
  msiEndpoint: true,
  msiSecret: true,
  stream: true,
  parseJSON: true,
  arrayRowMode: true,
};
const NAMES = Object.keys(SETTINGS);

/**
 * mssql ignores settings that it does not know, and so does this library, because configs may contain settings of other libraries.
 * A key that is almost the name of a setting is a misspelt one: with `databse`, the session would run in the wrong database.
 *
 * @param further settings of `createTokenPools`, in addition to those of a pool
 * @throws ConfigurationError that names the setting that was meant
 */
export function refuseMisspelt(config: object, further: readonly string[] = []): void {
  const names = [...NAMES, ...further];
  for (const key of Object.keys(config)) {
    if (names.includes(key) || closest(key, names) === undefined) continue;
    throw new ConfigurationError(`The config has an unknown setting.${didYouMean(key, names)}`, {
      hint: 'Rename it, or leave it out of the config for this library.',
    });
  }
}

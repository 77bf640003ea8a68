/**
 * `mssql-token-pool`: pools of tedious connections, `withTokenRefresh` for an mssql config, credentials, the token
 * cache, transactions that are retried, and the errors.
 *
 * @module mssql-token-pool
 */
export type { Authentication, PoolConfig, TokenPoolConfig } from './connections/config.js';
export * from './credentials/public.js';
export * from './errors.js';
export type { TokenPoolsConfig } from './identities/check-pools-config.js';
export type { IdentityPool } from './identities/current-identity.js';
export type { Identity } from './identities/identity-key.js';
export {
  createTokenPools,
  type TokenPools,
  type TokenPoolsStats,
} from './identities/token-pools.js';
export { type RefreshingConfig, withTokenRefresh } from './mssql/with-token-refresh.js';
export type {
  AcquireOptions,
  Borrower,
  ConnectionSource,
  SourceStats,
  TokenPoolStats,
} from './pool/connection-source.js';
export { createTokenPool } from './pool/create-token-pool.js';
export type { HealthReason, HealthStatus, PoolHealth } from './pool/health.js';
export type { ReplaceCredentialOptions } from './pool/operated-pool.js';
export type { TokenPool } from './pool/token-pool.js';
export {
  type DriverTransaction,
  type IsolationLevel,
  retryTransaction,
  type TransactionOptions,
  transaction,
} from './pool/transaction.js';
export { type RetryOptions, withRetry } from './pool/with-retry.js';
export type { CachedToken } from './tokens/cached-token.js';
export {
  type EncryptedTokenStore,
  encryptedTokenStore,
  type TokenEncryptionOptions,
} from './tokens/encrypted-token-store.js';
export type { StoreKey } from './tokens/entry-cipher.js';
export type { StoreKeysFunction } from './tokens/key-ring.js';
export { OnBehalfOfTokens, type OnBehalfOfTokensOptions } from './tokens/on-behalf-of-tokens.js';
export { sharedTokenCache } from './tokens/shared-token-cache.js';
export { TokenCache, type TokenCacheOptions, type WaitOptions } from './tokens/token-cache.js';
export type { StoredValue, TokenStore } from './tokens/token-store.js';

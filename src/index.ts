export type { Authentication, PoolConfig, TokenPoolConfig } from './connections/config.js';
export {
  type CredentialInput,
  type CredentialOptions,
  createCredential,
} from './credentials/create-credential.js';
export type {
  AccessToken,
  Credential,
  GetTokenOptions,
  Principal,
  Secret,
  TokenCredential,
} from './credentials/credential.js';
export type { TediousAuthentication } from './credentials/from-tedious.js';
export type { GivenCredentialOptions } from './credentials/given-credential.js';
export type { GivenToken } from './credentials/given-token.js';
export { scopeForServer } from './credentials/scope-for-server.js';
export type { ServicePrincipalSecretOptions } from './credentials/service-principal-secret.js';
export type { StaticTokenOptions } from './credentials/static-token.js';
export type { TokenFunction, TokenFunctionRequest } from './credentials/token-function.js';
export * from './errors.js';
export { createTokenPool } from './pool/create-token-pool.js';
export type { AcquireOptions, TokenPool, TokenPoolStats } from './pool/token-pool.js';
export type { HeldToken } from './tokens/held-token.js';
export { sharedTokenCache, TokenCache, type TokenCacheOptions, type WaitOptions } from './tokens/token-cache.js';

export type { AccessToken, Credential, GetTokenOptions, Principal, TokenCredential } from './credentials/credential.js';
export * from './errors.js';
export type { HeldToken } from './tokens/held-token.js';
export { sharedTokenCache, TokenCache, type TokenCacheOptions, type WaitOptions } from './tokens/token-cache.js';

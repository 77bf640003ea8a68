export type { AccessToken, Credential, GetTokenOptions, Principal, TokenCredential } from './credentials/credential.js';
export * from './errors.js';

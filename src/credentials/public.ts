// What users import from this room.
export type { ApplicationOptions } from './application.js';
export type { AuthorityOptions } from './authority.js';
export type { ClientAssertionOptions } from './client-assertion.js';
export {
  type CredentialContext,
  type CredentialInput,
  type CredentialOptions,
  createCredential,
} from './create-credential.js';
export type { AccessToken, Credential, GetTokenOptions, Principal, Secret, TokenCredential } from './credential.js';
export type { ChainMemberName, ChainOptions } from './default-chain.js';
export type { DeveloperToolOptions } from './developer-tools.js';
export type { DeviceCode, DeviceCodeOptions } from './device-code.js';
export type { EnvironmentOptions } from './environment.js';
export type { TediousAuthentication } from './from-tedious.js';
export type { GivenCredentialOptions } from './given-credential.js';
export type { GivenToken } from './given-token.js';
export type { HttpAgent } from './http-request.js';
export type { InteractiveOptions } from './interactive.js';
export type { ManagedIdentityOptions } from './managed-identity.js';
export type { OnBehalfOfApplication, OnBehalfOfOptions } from './on-behalf-of.js';
export type { PasswordOptions } from './password.js';
export type { PersistentCache, PersistentCacheContext, PersonCredential, PersonOptions } from './person.js';
export type { RefreshTokenOptions } from './refresh-token.js';
export { scopeForServer } from './scope-for-server.js';
export type { ServicePrincipalCertificateOptions } from './service-principal-certificate.js';
export type { ServicePrincipalSecretOptions } from './service-principal-secret.js';
export type { StaticTokenOptions } from './static-token.js';
export type { TokenFunction, TokenFunctionRequest } from './token-function.js';
export type { WorkloadIdentityOptions } from './workload-identity.js';

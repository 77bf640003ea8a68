// The types and functions of this module that users import.
export {
  type CredentialContext,
  type CredentialInput,
  type CredentialOptions,
  createCredential,
} from './create-credential.js';
export type {
  AbortSignalLike,
  AccessToken,
  Credential,
  CredentialTokenOptions,
  GetTokenOptions,
  IssuedToken,
  Principal,
  Secret,
  TokenCredential,
} from './credential.js';
export type { AuthorityOptions } from './entra/authority.js';
export type { HttpAgent } from './entra/http-request.js';
export { scopeForServer } from './entra/scope-for-server.js';
export type { AccessTokenLike } from './input/access-token-like.js';
export type { TediousAuthentication } from './input/from-tedious.js';
export type { AccessTokenOptions } from './methods/access-token.js';
export type { AgentIdentityOptions } from './methods/agent-identity.js';
export type { ApplicationOptions } from './methods/application.js';
export type { ChainMemberName, ChainOptions } from './methods/chain.js';
export type { ClientAssertionOptions } from './methods/client-assertion.js';
export type { DeveloperToolOptions } from './methods/developer-tools.js';
export type { DeviceCode, DeviceCodeOptions } from './methods/device-code.js';
export type { EnvironmentOptions } from './methods/environment.js';
export type { FederatedSource } from './methods/federated/assertion-source.js';
export type { FederatedOptions } from './methods/federated.js';
export type { InteractiveOptions } from './methods/interactive.js';
export type { ManagedIdentityOptions } from './methods/managed-identity.js';
export type { OnBehalfOfApplication, OnBehalfOfOptions } from './methods/on-behalf-of.js';
export type { PasswordOptions } from './methods/password.js';
export type { PersistentCache, PersistentCacheContext, PersonCredential, PersonOptions } from './methods/person.js';
export type { RefreshTokenOptions } from './methods/refresh-token.js';
export type { ServicePrincipalCertificateOptions } from './methods/service-principal-certificate.js';
export type { ServicePrincipalSecretOptions } from './methods/service-principal-secret.js';
export type { TokenCredentialOptions } from './methods/token-credential.js';
export type { TokenFunction, TokenFunctionRequest } from './methods/token-function.js';
export type { WorkloadIdentityOptions } from './methods/workload-identity.js';

// What users import from this room.
export type { ApplicationOptions } from './application.js';
export type { AuthorityOptions } from './authority.js';
export type { ClientAssertionOptions } from './client-assertion.js';
export { type CredentialInput, type CredentialOptions, createCredential } from './create-credential.js';
export type { AccessToken, Credential, GetTokenOptions, Principal, Secret, TokenCredential } from './credential.js';
export type { TediousAuthentication } from './from-tedious.js';
export type { GivenCredentialOptions } from './given-credential.js';
export type { GivenToken } from './given-token.js';
export type { ManagedIdentityOptions } from './managed-identity.js';
export { scopeForServer } from './scope-for-server.js';
export type { ServicePrincipalCertificateOptions } from './service-principal-certificate.js';
export type { ServicePrincipalSecretOptions } from './service-principal-secret.js';
export type { StaticTokenOptions } from './static-token.js';
export type { TokenFunction, TokenFunctionRequest } from './token-function.js';
export type { WorkloadIdentityOptions } from './workload-identity.js';

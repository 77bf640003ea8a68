export { type Certificate, type CertificateOptions, makeCertificate, makeCertificateAuthority } from './certificate.js';
export {
  type EntraAbortSignal,
  type EntraAccessToken,
  type EntraCredential,
  EntraError,
  type EntraTokenOptions,
} from './entra/credential.js';
export type { DeviceSignIn } from './entra/device-codes.js';
export type {
  AppOptions,
  AppRegistration,
  EntraPrincipal,
  FederatedCredential,
  ManagedIdentity,
  ManagedIdentityOptions,
  TrustedSubject,
  UserAccount,
  UserOptions,
} from './entra/directory.js';
export type { EntraAuthority, EntraEmulator, FederatedTokenOptions, IssueTokenOptions } from './entra/emulator.js';
export type { ActiveFault, Fault } from './entra/faults.js';
export type { JsonWebKeySet, PublicJsonWebKey } from './entra/json-web-token.js';
export type {
  ManagedIdentityEndpoint,
  ManagedIdentityEndpoints,
  ManagedIdentityKind,
} from './entra/managed-identity/endpoints.js';
export type { AadstsNumber } from './entra/refusal.js';
export type { EntraEndpoint, EntraRequest } from './entra/request.js';
export type { SignInResult } from './entra/sign-in/browser.js';
export { type EntraEmulatorOptions, startEntraEmulator } from './entra/start.js';
export {
  type IssuerTrust,
  type TokenClaims,
  type TokenFlaw,
  type TokenRefusal,
  type VerifyOptions,
  verifyAccessToken,
} from './entra/verification.js';
export type { ActiveLoginFault, LoginFault } from './tds/login-faults.js';
export type {
  EncryptionMode,
  LoginRecord,
  ServerCredential,
  SqlEmulatorOptions,
  TokenAuthority,
} from './tds/options.js';
export type { SqlErrorInfo } from './tds/server-error.js';
export { type SqlEmulator, type SqlEmulatorConfig, startSqlEmulator } from './tds/sql-emulator.js';
export { trustIssuer } from './tds/trust-issuer.js';
export type { UpstreamConfig } from './tds/upstream.js';
export type { QueryAnswer, QueryHandler, QueryResult, QueryRow } from './tsql/query-handler.js';
export type { SqlSession, TransactionHandler } from './tsql/session.js';

/**
 * `mssql-token-pool/testing`: emulators of Entra and of SQL Server, and a gateway that checks tokens in front of a real SQL
 * Server. None of it needs the pools of this package.
 *
 * @module mssql-token-pool/testing
 */
export { type Certificate, type CertificateOptions, makeCertificate, makeCertificateAuthority } from './certificate.js';
export { createTestClock, type TestClock } from './clock.js';
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
export { type FaultControl, type FaultControlOptions, startFaultControl } from './fault-control.js';
export { type SqlGateway, type SqlGatewayOptions, startSqlGateway } from './gateway/sql-gateway.js';
export type { UpstreamConfig } from './gateway/upstream.js';
export type { ActiveLoginFault, LoginFault } from './server/login-faults.js';
export type {
  EncryptionMode,
  LoginRecord,
  ServerCredential,
  TdsServerOptions,
  TokenAuthority,
} from './server/options.js';
export type { TdsServer, TdsServerConfig } from './server/tds-server.js';
export { trustIssuer } from './server/trust-issuer.js';
export type { BulkLoad, BulkLoadHandler } from './sql/bulk-load.js';
export type { Expectation, ExpectationOptions, ExpectedAnswer, QueryMatcher } from './sql/expectations.js';
export type { QueryAnswer, QueryResult, QueryRow } from './sql/query-answer.js';
export type { QueryHandler } from './sql/query-handler.js';
export type { RecordedQuery } from './sql/recorded-query.js';
export type { SqlSession, TransactionHandler } from './sql/session.js';
export { type SqlEmulator, type SqlEmulatorOptions, startSqlEmulator } from './sql/sql-emulator.js';
export type { SqlErrorInfo } from './tds/server-error.js';
export type { RecordOptions, TrafficRecording } from './traffic/recorder.js';

/** Which part of the emulator was asked. */
export type EntraEndpoint =
  | 'token'
  | 'managed-identity'
  | 'imds-probe'
  | 'devicecode'
  | 'authorize'
  | 'deviceauth'
  | 'discovery'
  | 'keys'
  | 'unknown';

/**
 * One request to the emulator, free of secrets.
 *
 * @example
 * expect(entra.requests.filter(({ grantType }) => grantType === 'refresh_token')).toHaveLength(1);
 */
export interface EntraRequest {
  /** When it came in, epoch ms. */
  readonly time: number;
  readonly endpoint: EntraEndpoint;
  /** OAuth `grant_type`; for a managed identity the kind of endpoint, e.g. `imds`. Empty where there is none. */
  readonly grantType: string;
  /** Tenant as named in the address; empty for managed identity. */
  readonly tenantId: string;
  /** Client id; empty where none was named. */
  readonly clientId: string;
  /** Scopes asked for, or the resource. */
  readonly scope: string;
  /** User name, in the password grant. */
  readonly userName: string | undefined;
  /** The `claims` parameter: client capabilities, or the claims challenge that the client passes on. */
  readonly claims: string | undefined;
  /** `client-request-id` of the caller. */
  readonly correlationId: string;
  /** HTTP status of the answer; undefined as long as there is none, and for ever after a hang or reset. */
  readonly status: number | undefined;
  /** AADSTS number of a refusal. */
  readonly aadsts: number | undefined;
  /** When the answer went out, epoch ms. */
  readonly answeredAt: number | undefined;
}

/** The same while the answer is being made. */
export type RecordedRequest = { -readonly [Key in keyof EntraRequest]: EntraRequest[Key] };

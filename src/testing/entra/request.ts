/** The part of the emulator that a request addresses. */
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
 * One request to the emulator, without secrets.
 *
 * @example
 * expect(entra.requests.filter(({ grantType }) => grantType === 'refresh_token')).toHaveLength(1);
 */
export interface EntraRequest {
  /** When it arrived, epoch ms. */
  readonly time: number;
  readonly endpoint: EntraEndpoint;
  /** OAuth `grant_type`; for a managed identity the kind of endpoint, e.g. `imds`. Empty if there is none. */
  readonly grantType: string;
  /** Tenant as given in the URL; empty for managed identity. */
  readonly tenantId: string;
  /** Client id; empty if none was given. */
  readonly clientId: string;
  /** Requested scopes, or the resource. */
  readonly scope: string;
  /** User name, in the password grant. */
  readonly userName: string | undefined;
  /** The `claims` parameter: client capabilities, or the claims challenge that the client passes on. */
  readonly claims: string | undefined;
  /** `client-request-id` of the caller. */
  readonly correlationId: string;
  /** HTTP status of the answer; undefined until the request is answered. A request that hangs or is reset never gets one. */
  readonly status: number | undefined;
  /** AADSTS number of a refusal. */
  readonly aadsts: number | undefined;
  /** When the answer was sent, epoch ms. */
  readonly answeredAt: number | undefined;
}

/** The mutable record that the emulator fills in while it answers. */
export type RecordedRequest = { -readonly [Key in keyof EntraRequest]: EntraRequest[Key] };

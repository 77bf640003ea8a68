/** An answer of Entra that is an error, thrown inside the emulator and sent as JSON by it. */
export class Refusal extends Error {
  override name = 'Refusal';
  readonly status: number;
  /** OAuth `error` (RFC 6749 section 5.2). */
  readonly error: string;
  /** AADSTS number. */
  readonly aadsts: number;
  /** `suberror`, `claims` and the like. */
  readonly more: Readonly<Record<string, unknown>>;

  constructor(status: number, error: string, aadsts: number, message: string, more: Record<string, unknown> = {}) {
    super(message);
    this.status = status;
    this.error = error;
    this.aadsts = aadsts;
    this.more = more;
  }

  /** The body, in the form and with the wording conventions of login.microsoftonline.com. */
  toBody(ids: { traceId: string; correlationId: string; now: number }): Record<string, unknown> {
    const timestamp = `${new Date(ids.now).toISOString().slice(0, 19).replace('T', ' ')}Z`;
    const trail = `Trace ID: ${ids.traceId} Correlation ID: ${ids.correlationId} Timestamp: ${timestamp}`;
    return {
      error: this.error,
      error_description: `AADSTS${this.aadsts}: ${this.message} ${trail}`,
      error_codes: [this.aadsts],
      timestamp,
      trace_id: ids.traceId,
      correlation_id: ids.correlationId,
      error_uri: `https://login.microsoftonline.com/error?code=${this.aadsts}`,
      ...this.more,
    };
  }
}

/** Every refusal of the token endpoint that the emulator knows, with Entra's status, `error` and number. */
export const refusals = {
  missingParameter: (name: string) =>
    new Refusal(400, 'invalid_request', 900144, `The request body must contain the following parameter: '${name}'.`),
  unsupportedGrant: (grantType: string) =>
    new Refusal(400, 'unsupported_grant_type', 70003, `The app requested an unsupported grant type '${grantType}'.`),
  unknownTenant: (tenant: string) =>
    new Refusal(
      400,
      'invalid_request',
      90002,
      `Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.`,
    ),
  unknownApp: (clientId: string, tenant: string) =>
    new Refusal(
      400,
      'unauthorized_client',
      700016,
      `Application with identifier '${clientId}' was not found in the directory '${tenant}'.`,
    ),
  wrongSecret: (clientId: string) =>
    new Refusal(
      401,
      'invalid_client',
      7000215,
      `Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '${clientId}'.`,
    ),
  expiredSecret: (clientId: string) =>
    new Refusal(401, 'invalid_client', 7000222, `The provided client secret keys for app '${clientId}' are expired.`),
  missingCredential: () =>
    new Refusal(
      401,
      'invalid_client',
      7000218,
      "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    ),
  invalidScope: (scope: string) =>
    new Refusal(
      400,
      'invalid_scope',
      70011,
      `The provided value for the input parameter 'scope' is not valid: '${scope}'.`,
    ),
  scopeWithoutDefault: (scope: string) =>
    new Refusal(
      400,
      'invalid_scope',
      1002012,
      `The provided value for scope ${scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).`,
    ),
  unknownResource: (resource: string, tenant: string) =>
    new Refusal(
      400,
      'invalid_resource',
      500011,
      `The resource principal named ${resource} was not found in the tenant named ${tenant}. (Emulator: addResource('${resource}') makes it known.)`,
    ),
  /** What a fault answers where it names no body. */
  fault: (status: number) =>
    status === 429
      ? new Refusal(status, 'temporarily_unavailable', 90055, 'There are too many incoming requests; slow down.')
      : new Refusal(status, 'temporarily_unavailable', 90033, 'A transient error has occurred. Please try again.'),
};

/** An error answer of Entra: thrown inside the emulator, sent as JSON. */
export class Refusal extends Error {
  override name = 'Refusal';
  readonly status: number;
  /** OAuth `error` (RFC 6749 section 5.2). */
  readonly error: string;
  /** AADSTS error number. */
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

  /** The same refusal under another OAuth `error`. */
  as(error: string): Refusal {
    return new Refusal(this.status, error, this.aadsts, this.message, this.more);
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

interface KnownRefusal {
  status: number;
  error: string;
  /** `what` is the refused application, scope or user; `where` is the tenant or context. */
  message: (what: string, where: string) => string;
  more?: Record<string, unknown>;
}

/** The claims that a client must pass to the sign-in page, so that it prompts for what is missing. */
const CONDITIONAL_ACCESS_CLAIMS = JSON.stringify({
  access_token: { capolids: { essential: true, values: ['7e5d3a1c-5f0e-4a52-9c60-6b1a3e1d4c11'] } },
});

/** Every refusal that the emulator supports, by AADSTS number, with Entra's status and `error`. */
const REFUSALS = {
  // The request itself.
  900144: {
    status: 400,
    error: 'invalid_request',
    message: (name) => `The request body must contain the following parameter: '${name}'.`,
  },
  70007: {
    status: 400,
    error: 'invalid_request',
    message: (mode) => `'${mode}' is not a supported value of 'response_mode' when requesting a token.`,
  },
  900561: {
    status: 400,
    error: 'invalid_request',
    message: (method) => `The endpoint only accepts POST requests. Received a ${method} request.`,
  },
  90014: {
    status: 400,
    error: 'invalid_request',
    message: (name) => `The required field '${name}' is missing from the credential or is malformed.`,
  },
  70003: {
    status: 400,
    error: 'unsupported_grant_type',
    message: (grantType) => `The app requested an unsupported grant type '${grantType}'.`,
  },
  90002: {
    status: 400,
    error: 'invalid_request',
    message: (tenant) =>
      `Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.`,
  },
  70011: {
    status: 400,
    error: 'invalid_scope',
    message: (scope) => `The provided value for the input parameter 'scope' is not valid: '${scope}'.`,
  },
  1002012: {
    status: 400,
    error: 'invalid_scope',
    message: (scope) =>
      `The provided value for scope ${scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).`,
  },
  500011: {
    status: 400,
    error: 'invalid_resource',
    message: (resource, tenant) =>
      `The resource principal named ${resource} was not found in the tenant named ${tenant}. (Emulator: addResource('${resource}') makes it known.)`,
  },
  // The application.
  700016: {
    status: 400,
    error: 'unauthorized_client',
    message: (app, tenant) => `Application with identifier '${app}' was not found in the directory '${tenant}'.`,
  },
  7000215: {
    status: 401,
    error: 'invalid_client',
    message: (app) =>
      `Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '${app}'.`,
  },
  7000222: {
    status: 401,
    error: 'invalid_client',
    message: (app) => `The provided client secret keys for app '${app}' are expired.`,
  },
  7000218: {
    status: 401,
    error: 'invalid_client',
    message: () => "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
  },
  7000112: {
    status: 400,
    error: 'unauthorized_client',
    message: (app) => `Application '${app}' is disabled.`,
  },
  7000114: {
    status: 400,
    error: 'invalid_grant',
    message: (app) => `Application '${app}' is not allowed to make application on-behalf-of calls.`,
  },
  // Client assertions: certificates and federated credentials.
  50027: {
    status: 400,
    error: 'invalid_request',
    message: (why) => `JWT token is invalid or malformed. ${why}`.trim(),
  },
  700021: {
    status: 401,
    error: 'invalid_client',
    message: () => "Client assertion application identifier doesn't match 'client_id' parameter.",
  },
  700023: {
    status: 401,
    error: 'invalid_client',
    message: (audience) => `Client assertion audience claim '${audience}' does not match Realm issuer.`,
  },
  700024: {
    status: 401,
    error: 'invalid_client',
    message: (range) => `Client assertion is not within its valid time range. ${range}`.trim(),
  },
  700027: {
    status: 401,
    error: 'invalid_client',
    message: (reason, app) =>
      `The certificate with identifier used to sign the client assertion is not registered on application. [Reason - ${reason}, app Id '${app}'.]`,
  },
  1000502: {
    status: 401,
    error: 'invalid_client',
    message: () => 'The provided certificate is not within its specified validity period.',
  },
  // Before 2023, and still for some issuers, one number for all three of the following.
  70021: {
    status: 401,
    error: 'invalid_client',
    message: () => 'No matching federated identity record found for presented assertion.',
  },
  700211: {
    status: 401,
    error: 'invalid_client',
    message: (issuer) => `No matching federated identity record found for presented assertion issuer '${issuer}'.`,
  },
  700212: {
    status: 401,
    error: 'invalid_client',
    message: (audience) =>
      `No matching federated identity record found for presented assertion audience '${audience}'.`,
  },
  700213: {
    status: 401,
    error: 'invalid_client',
    message: (subject) => `No matching federated identity record found for presented assertion subject '${subject}'.`,
  },
  // Users.
  50034: {
    status: 400,
    error: 'invalid_grant',
    message: (user, tenant) => `The user account ${user} does not exist in the ${tenant} directory.`,
  },
  50126: {
    status: 400,
    error: 'invalid_grant',
    message: () => 'Error validating credentials due to invalid username or password.',
  },
  50057: { status: 400, error: 'invalid_grant', message: () => 'The user account is disabled.' },
  50055: {
    status: 400,
    error: 'invalid_grant',
    message: () => 'The password is expired.',
    more: { suberror: 'user_password_expired' },
  },
  50058: {
    status: 400,
    error: 'login_required',
    message: () => 'A silent sign-in request was sent but no user is signed in.',
  },
  50076: {
    status: 400,
    error: 'interaction_required',
    message: (resource) =>
      `Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '${resource}'.`,
    more: { suberror: 'basic_action', claims: CONDITIONAL_ACCESS_CLAIMS },
  },
  53003: {
    status: 400,
    error: 'invalid_grant',
    message: () =>
      'Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.',
    more: { suberror: 'message_only', claims: CONDITIONAL_ACCESS_CLAIMS },
  },
  65001: {
    status: 400,
    error: 'invalid_grant',
    message: (app) =>
      `The user or administrator has not consented to use the application with ID '${app}'. Send an interactive authorization request for this user and resource.`,
    more: { suberror: 'consent_required' },
  },
  65004: {
    status: 400,
    error: 'access_denied',
    message: () => 'User declined to consent to access the app.',
  },
  700054: {
    status: 400,
    error: 'unsupported_response_type',
    message: (type) => `response_type '${type}' is not enabled for the application.`,
  },
  // Authorization codes, refresh tokens and user assertions.
  50011: {
    status: 400,
    error: 'invalid_request',
    message: (uri, app) =>
      `The redirect URI '${uri}' specified in the request does not match the redirect URIs configured for the application '${app}'.`,
  },
  500112: {
    status: 400,
    error: 'invalid_grant',
    message: (uri, expected) =>
      `The reply address '${uri}' does not match the reply address '${expected}' provided when requesting Authorization code.`,
  },
  50013: {
    status: 400,
    error: 'invalid_grant',
    message: (reason) => `Assertion failed signature validation. [Reason - ${reason}]`,
  },
  500131: {
    status: 400,
    error: 'invalid_grant',
    message: (audience) =>
      `Assertion audience does not match the Client app presenting the assertion. The audience in the assertion was '${audience}'.`,
  },
  500133: {
    status: 400,
    error: 'invalid_grant',
    message: (range) => `Assertion is not within its valid time range. ${range}`.trim(),
  },
  50173: {
    status: 400,
    error: 'invalid_grant',
    message: () =>
      'The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password.',
    more: { suberror: 'bad_token' },
  },
  54005: {
    status: 400,
    error: 'invalid_grant',
    message: () => 'OAuth2 Authorization code was already redeemed, please retry with a new valid code.',
  },
  501481: {
    status: 400,
    error: 'invalid_grant',
    message: () => 'The Code_Verifier does not match the code_challenge supplied in the authorization request.',
  },
  70000: {
    status: 400,
    error: 'invalid_grant',
    message: (name) => `The provided value for the input parameter '${name}' is not valid.`,
    more: { suberror: 'bad_token' },
  },
  70008: {
    status: 400,
    error: 'invalid_grant',
    message: () => 'The provided authorization code has expired. Send a new interactive authorization request.',
  },
  70016: {
    status: 400,
    error: 'authorization_pending',
    message: () => 'OAuth 2.0 device flow error. Authorization is pending. Continue polling.',
  },
  70018: {
    status: 400,
    error: 'bad_verification_code',
    message: () => 'Invalid verification code.',
  },
  70019: { status: 400, error: 'expired_token', message: () => 'Verification code expired.' },
  700082: {
    status: 400,
    error: 'invalid_grant',
    message: (since) => `The refresh token has expired due to inactivity. ${since}`.trim(),
    more: { suberror: 'bad_token' },
  },
  // The service.
  90033: {
    status: 503,
    error: 'temporarily_unavailable',
    message: () => 'A transient error has occurred. Please try again.',
  },
  90055: {
    status: 429,
    error: 'temporarily_unavailable',
    message: () => 'There are too many incoming requests; slow down.',
  },
} satisfies Record<number, KnownRefusal>;

/** AADSTS numbers that `entra.fail({ aadsts })` accepts. */
export type AadstsNumber = keyof typeof REFUSALS;

/** Whether the emulator has an answer with this AADSTS number. */
export function isKnownRefusal(aadsts: unknown): boolean {
  return typeof aadsts === 'number' && Object.hasOwn(REFUSALS, aadsts);
}

/** Creates the refusal with this number. The table above shows what `what` and `where` stand for. */
export function refuse(aadsts: AadstsNumber, what = '', where = ''): Refusal {
  const known: KnownRefusal = REFUSALS[aadsts];
  return new Refusal(known.status, known.error, aadsts, known.message(what, where), known.more);
}
